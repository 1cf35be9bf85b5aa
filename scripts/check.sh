#!/usr/bin/env bash
# Everything that a change should pass before it is published. Half an hour on two processors.
#
#   scripts/check.sh
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --help ]; then
    sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"
    exit 0
fi

step() { printf '\n== %s\n' "$*"; }

step "Optimised, warnings are errors, all tests"
scripts/test.sh --preset ci
step "Every public header on its own"
scripts/build.sh --preset ci --target all_verify_interface_header_sets
step "Unoptimised, warnings are errors"
scripts/test.sh --preset dev -L 'unit|wire'
step "Address and undefined behaviour sanitizers"
scripts/test.sh --preset asan
step "Thread sanitizer"
scripts/test.sh --preset tsan
step "clang-tidy"
scripts/clang_tidy.sh
