#!/bin/sh
# Puts two independent mock servers into .tools: aimock (Node) and llmock (a Python environment of
# its own). Does nothing for what is there already; without Node, aimock is left out.
set -eu
aimock=1.43.0
llmock=0.2.2
tools=$(cd "$(dirname "$0")/../.." && pwd)/.tools

there() { # DIRECTORY WHAT
    [ "$(cat "$1/installed.txt" 2>/dev/null)" = "$2" ]
}

if ! there "$tools/llmock" "$llmock"; then
    rm -rf "$tools/llmock"
    "${PYTHON:-python3}" -m venv "$tools/llmock"
    "$tools/llmock/bin/python" -m pip install --quiet --disable-pip-version-check "llmock==$llmock"
    echo "$llmock" >"$tools/llmock/installed.txt"
fi

if there "$tools/aimock" "$aimock"; then
    exit 0
fi
if ! command -v npm >/dev/null; then
    echo "aimock is not installed: there is no npm (Node 20 or newer)" >&2
    exit 0
fi
rm -rf "$tools/aimock"
mkdir -p "$tools/aimock"
npm install --silent --no-save --no-audit --no-fund --prefix "$tools/aimock" "@copilotkit/aimock@$aimock"
echo "$aimock" >"$tools/aimock/installed.txt"
