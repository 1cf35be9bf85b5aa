#!/usr/bin/env bash
# Holds the forms that the proxy sends against the parsers of upstreams: python-multipart, Go and busboy.
# Not part of scripts/test.sh, for it installs them from their registries, into a temporary directory.
#
#   scripts/compare_forms.sh                 with the program of build/ci
#   scripts/compare_forms.sh --build DIR     with that of another build
#   scripts/compare_forms.sh --forms 50000   so many forms; --seed N for others
#
# What cannot be installed is skipped with a message; exit status 1 if a parser reads a form otherwise, or if no parser
# is there.
set -euo pipefail
cd "$(dirname "$0")/.."

build=build/ci
rest=()
while [ $# -gt 0 ]; do
    case "$1" in
        --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
        --build) build=${2:?--build needs a folder}; shift 2 ;;
        *) rest+=("$1"); shift ;;
    esac
done

work=$(mktemp -d -t weir-forms-XXXXXX)
trap 'rm -rf "$work"' EXIT
python=python3
if python3 -m venv "$work/venv" && timeout 300 "$work/venv/bin/pip" install --quiet python-multipart; then
    python=$work/venv/bin/python
fi >"$work/pip.log" 2>&1
if command -v npm >/dev/null &&
    timeout 300 npm --prefix "$work" --cache "$work/npm" install --silent --no-audit --no-fund busboy >"$work/npm.log" 2>&1; then
    rest+=(--node "$work")
fi
"$python" tests/fuzz/forms/compare.py --rewrite "$build/tests/bin/weir-form-rewrite" "${rest[@]}"
