#!/usr/bin/env bash
# Runs clang-tidy-14 (.clang-tidy) on the product's sources; minutes. Skips itself when it is not installed.
#
#   scripts/clang_tidy.sh                  all folders
#   scripts/clang_tidy.sh shm router/url.cpp   these folders and files
#   JOBS=1 scripts/clang_tidy.sh           one at a time; otherwise one per processor
#
# Needs a configured tree (cmake --preset ci) for the compiler's flags; configures one if there is none.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --help ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 0
fi
clang_tidy=$(command -v clang-tidy-14 || true)
if [ -z "$clang_tidy" ]; then
    echo "clang_tidy: clang-tidy-14 is not installed (apt-get install clang-tidy-14); skipped"
    exit 0
fi
build=build/ci
[ -f $build/compile_commands.json ] || cmake --preset ci >/dev/null

[ $# -gt 0 ] || set -- shm router proxy loadtest fake_server
# The flags are g++'s: what clang does not know is no fault of the source.
find "$@" -name '*.cpp' -print0 | sort -z |
    xargs -0 -n 1 -P "${JOBS:-$(nproc)}" "$clang_tidy" -p $build --quiet --extra-arg=-Wno-unknown-warning-option \
        2> >(grep -v 'warnings generated\.$' >&2 || true)
echo "clang_tidy: clean"
