#!/usr/bin/env bash
# Run the tests: all of them in two halves side by side, since one of them mostly waits: for labs,
# for foreign peers, for what the course types.
# Usage: test.sh PYTEST [ARGUMENTS…]; with arguments, pytest gets those and nothing is divided.
set -uo pipefail
pytest=$1
shift
if [ $# -gt 0 ]; then exec "$pytest" "$@"; fi
waiting=(tests/cli tests/interop tests/lab tests/test_course.py)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$pytest" "${waiting[@]/#/--ignore=}" >"$log" 2>&1 &
computing=$!
trap 'kill "$computing" 2>/dev/null' INT TERM
"$pytest" "${waiting[@]}"
first=$?
wait "$computing"
second=$?
cat "$log"
exit $((first > second ? first : second))
