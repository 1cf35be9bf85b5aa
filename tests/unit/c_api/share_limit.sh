#!/bin/sh
# Runs share_limit.py with python3, or says that there is none (77: skipped).
# An asan build of the library cannot be loaded into an ordinary Python.
if ! command -v python3 >/dev/null 2>&1 || ! python3 -c 'import ctypes' 2>/dev/null; then
    echo "skipped: no python3 with ctypes on this host"
    exit 77
fi
if grep -q __asan_init "$1" || grep -q __tsan_init "$1"; then
    echo "skipped: the library was built with a sanitizer, which Python cannot load"
    exit 77
fi
exec python3 "$(dirname "$0")/share_limit.py" "$@"
