#!/bin/sh
# Makes .tools/validators, the environment of the independent validators; does nothing when it is up to date.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$here/../.." && pwd)/.tools/validators
wanted=$here/validators.txt
if cmp -s "$wanted" "$tools/installed.txt"; then
    exit 0
fi
rm -rf "$tools"
"${PYTHON:-python3}" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$wanted"
cp "$wanted" "$tools/installed.txt"
