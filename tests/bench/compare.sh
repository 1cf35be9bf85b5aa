#!/usr/bin/env bash
# Weir beside nginx and HAProxy: what one request costs each of them, measured side by side.
#
#   tests/bench/compare.sh                       5 rounds of 4 s for each; a minute and a half in all
#   tests/bench/compare.sh --rounds 9 --json     further options: see --help of compare.py
#
# Takes the binaries of build/ci (or --build DIR). nginx, haproxy and wrk are Debian packages: installed if they are
# missing and this runs as root; without wrk or nginx there is nothing to compare, and the exit status is 77.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
for program in nginx:nginx-light haproxy:haproxy wrk:wrk; do
    PATH=$PATH:/usr/sbin command -v "${program%%:*}" >/dev/null || missing+=("${program#*:}")
done
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" -eq 0 ]; then
    echo "compare: installing ${missing[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1   # install only: start no service
    install=(apt-get install --yes --no-install-recommends "${missing[@]}")
    "${install[@]}" >/dev/null 2>&1 || { apt-get update && "${install[@]}"; } >/dev/null 2>&1 ||
        echo "compare: could not install them" >&2
fi
PATH=$PATH:/usr/sbin exec python3 tests/bench/compare.py "$@"
