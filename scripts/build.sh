#!/usr/bin/env bash
# Installs what is missing, configures and builds. Run by scripts/test.sh and scripts/run_local.sh.
#
#   scripts/build.sh                      everything, as users run it (build/release)
#   scripts/build.sh --preset asan        another preset of CMakePresets.json
#   scripts/build.sh --target weir-proxy  only this; further arguments go to cmake --build
#   JOBS=1 scripts/build.sh               one compiler at a time; by default as many as fit
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
case "${1:-}" in
    --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --preset) preset=${2:?--preset needs the name of a preset}; shift 2 ;;
esac

# A file that uses Asio takes the compiler up to 700 MB.
jobs_that_fit() {
    local kib processors
    processors=$(nproc)
    kib=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)
    local fit=$(( ${kib:-0} / (800 * 1024) ))
    (( fit >= 1 )) || fit=1
    echo $(( fit < processors ? fit : processors ))
}

scripts/install_deps.sh
cmake --preset "$preset"
exec cmake --build --preset "$preset" --parallel "${JOBS:-$(jobs_that_fit)}" "$@"
