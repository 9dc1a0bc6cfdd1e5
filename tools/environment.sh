#!/usr/bin/env bash
# Make the virtual environment and install the package with its extras into it.
# Usage: environment.sh PYTHON VENV
set -euo pipefail
python=$1
venv=$2
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "Trunkline needs Python 3.11 or newer; '$python' is $("$python" -V 2>&1 || echo absent)." >&2
  echo "Name another one: make PYTHON=python3.12 …" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  echo "'$python' has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2
  exit 1
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "Installing Trunkline into $venv …"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[all,dev]'
