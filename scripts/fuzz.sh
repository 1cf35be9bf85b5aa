#!/usr/bin/env bash
# Looks for inputs that break a promise, with libFuzzer under the address and undefined behaviour sanitizers.
#
#   scripts/fuzz.sh                         every target for a minute
#   scripts/fuzz.sh --seconds 1800          every target for half an hour
#   scripts/fuzz.sh --seconds 60 form usage these targets only
#
# Installs clang where it is missing. Begins with the inputs of tests/fuzz/corpus/TARGET; what it finds on the way
# stays in build/fuzz/corpus/TARGET, and an input that breaks something in build/fuzz/findings. Ends with 1 if there
# is one. Keep such an input: add it to tests/fuzz/corpus/TARGET, where the ordinary suite plays it.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=60
targets=()
while [ $# -gt 0 ]; do
    case "$1" in
        --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
        --seconds) seconds=${2:?--seconds needs a number}; shift 2 ;;
        -*) echo "fuzz: unknown option $1 (see --help)" >&2; exit 2 ;;
        *) targets+=("$1"); shift ;;
    esac
done
if [ ${#targets[@]} -eq 0 ]; then
    for folder in tests/fuzz/corpus/*/; do targets+=("$(basename "$folder")"); done
fi

scripts/install_deps.sh clang-14 libclang-rt-14-dev
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz --parallel "${JOBS:-$(nproc)}"

mkdir -p build/fuzz/findings
broken=()
for target in "${targets[@]}"; do
    program=build/fuzz/tests/bin/weir-fuzz-$target
    [ -x "$program" ] || { echo "fuzz: no target $target" >&2; exit 2; }
    mkdir -p "build/fuzz/corpus/$target"
    echo "== $target, $seconds s"
    if ! "$program" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="build/fuzz/findings/$target-" "build/fuzz/corpus/$target" "tests/fuzz/corpus/$target"; then
        broken+=("$target")
    fi
done
if [ ${#broken[@]} -gt 0 ]; then
    echo "fuzz: findings in ${broken[*]}; see build/fuzz/findings" >&2
    exit 1
fi
echo "fuzz: no finding in ${#targets[@]} targets"
