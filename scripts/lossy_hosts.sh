#!/usr/bin/env bash
# Two hosts in network namespaces, and a Redis behind cables that lose packets.
#
#   scripts/lossy_hosts.sh                        a minute of it
#   scripts/lossy_hosts.sh --fail-mode share      in another mode
#   scripts/lossy_hosts.sh --help                 further options, and what is checked
#
# Takes the programs of build/ci (or --build DIR). Exit status: 0 everything held, 1 something did not, 77
# skipped: it needs root, iproute2, TUN devices and redis-server.
set -euo pipefail
exec python3 "$(dirname "$0")/../tests/hosts/lossy.py" "$@"
