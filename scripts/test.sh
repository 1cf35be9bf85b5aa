#!/usr/bin/env bash
# Installs what is missing, builds, and runs the tests. Ends with ctest's own summary.
#
#   scripts/test.sh                 everything, warnings being errors
#   scripts/test.sh -L unit         one kind (see tests/CMakeLists.txt); further arguments go to ctest
#   scripts/test.sh --preset asan   under the address and undefined behaviour sanitizers (or tsan, dev)
set -euo pipefail
cd "$(dirname "$0")/.."

preset=ci
if [ "${1:-}" = --help ]; then
    sed -n '2,6s/^# \{0,1\}//p' "$0"
    exit 0
fi
if [ "${1:-}" = --preset ]; then
    preset=${2:?--preset needs the name of a preset}
    shift 2
fi

scripts/install_deps.sh
launcher=()
if command -v ccache >/dev/null; then
    launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
cmake --preset "$preset" "${launcher[@]}"
cmake --build --preset "$preset"
exec ctest --preset "$preset" --parallel "$(nproc)" "$@"
