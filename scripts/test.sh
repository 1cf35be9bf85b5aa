#!/usr/bin/env bash
# Installs what is missing, builds, and runs the tests. Ends with ctest's own summary.
#
#   scripts/test.sh                 everything
#   scripts/test.sh -L unit         one kind (see tests/CMakeLists.txt); further arguments go to ctest
#   scripts/test.sh --preset asan   under the address and undefined behaviour sanitizers (or tsan, dev, ci)
#   WEIR_LONG=1 scripts/test.sh     the long forms of the random and the torture tests
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
case "${1:-}" in
    --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --preset) preset=${2:?--preset needs the name of a preset}; shift 2 ;;
esac

scripts/build.sh --preset "$preset"
exec ctest --preset "$preset" --parallel "$(nproc)" "$@"
