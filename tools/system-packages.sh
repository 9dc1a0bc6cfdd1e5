#!/usr/bin/env bash
# See that the named Debian packages are there: install them when root, else say how.
# Usage: system-packages.sh PACKAGE…
set -euo pipefail
missing=()
for package in "$@"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if ! command -v apt-get >/dev/null; then
  echo "Missing: ${missing[*]} (the names are Debian's). Install them by your system's means." >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  echo "Missing system packages. Run: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
echo "Installing ${missing[*]} …"
export DEBIAN_FRONTEND=noninteractive
# What packages bring as services is not started: the tests start their own, elsewhere. That is what
# policy-rc.d is for in Debian (invoke-rc.d(8)).
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
install() { apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; }
install 2>/dev/null || { apt-get update -qq && install; }
