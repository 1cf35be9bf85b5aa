#!/usr/bin/env bash
# Eight workers under 2,000 connections, killed with -9 at random and reloaded all the while.
#
#   scripts/soak.sh                    40 s of it
#   scripts/soak.sh --seconds 600      the long form
#   scripts/soak.sh --help             further options, and what is checked
#
# Takes the programs of build/ci (or --build DIR). Exit status: 0 everything held, 1 something did not.
set -euo pipefail
ulimit -n "$(ulimit -H -n)"
exec python3 "$(dirname "$0")/../tests/soak/soak.py" "$@"
