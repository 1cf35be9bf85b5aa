#!/usr/bin/env bash
# Installs the Debian 12 packages that Weir is built and tested with, those that are missing only.
# Needs root or sudo when something is missing, and nothing otherwise.
#
#   scripts/install_deps.sh          says what it installs; silent when there is nothing to do
#   scripts/install_deps.sh --list   only names the packages
#   scripts/install_deps.sh NAME...  these packages besides
set -euo pipefail

packages=(
    g++ cmake ninja-build pkg-config python3
    libboost1.81-dev libfmt-dev nlohmann-json3-dev libyaml-cpp-dev libcli11-dev libsimdjson-dev libssl-dev
    libhiredis-dev catch2 redis-server
)

complain() { printf 'install_deps: %s\n' "$*" >&2; }

case "${1:-}" in
    "") ;;
    --list) printf '%s\n' "${packages[@]}"; exit 0 ;;
    --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    -*) complain "unknown argument \"$1\" (see --help)"; exit 2 ;;
    *) packages+=("$@") ;;
esac

if ! command -v dpkg-query >/dev/null; then
    complain "no Debian package manager here; install the equivalents yourself of: ${packages[*]}"
    exit 0
fi
missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        complain "missing packages: ${missing[*]}"
        complain "run this as root, or install sudo"
        exit 1
    fi
    as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
fi
export DEBIAN_FRONTEND=noninteractive
install() { "${as_root[@]}" apt-get install --yes --no-install-recommends "${missing[@]}"; }

echo "install_deps: installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The package lists may be old or absent: fetch them only if it does not work without.
if install >"$log" 2>&1; then exit 0; fi
if ! "${as_root[@]}" apt-get update >"$log" 2>&1 || ! install >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    complain "could not install ${missing[*]}; apt-get said the above"
    exit 1
fi
