#!/usr/bin/env bash
# Installs the Debian 12 packages that Weir is built and tested with, those that are missing only.
# Needs root or sudo when something is missing, and nothing otherwise.
set -euo pipefail

packages=(
    g++ cmake ninja-build pkg-config python3
    libboost1.81-dev libfmt-dev nlohmann-json3-dev libyaml-cpp-dev libcli11-dev libspdlog-dev
    libsimdjson-dev libhiredis-dev libssl-dev catch2 libbenchmark-dev
)

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "install_deps: missing packages: ${missing[*]}" >&2
        echo "install_deps: run this as root, or install sudo" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "install_deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install=("${as_root[@]}" apt-get install --yes --no-install-recommends "${missing[@]}")
# The package lists may be old or absent: fetch them only if it does not work without.
if ! "${install[@]}" >/tmp/weir-install.$$ 2>&1; then
    "${as_root[@]}" apt-get update
    "${install[@]}"
fi
rm -f /tmp/weir-install.$$
