#!/usr/bin/env bash
# Installs what Banter needs and this machine lacks. Safe to run again: what is there is left alone.
#
#   scripts/setup.sh run     what `make run` needs: compilers and the web app's packages
#   scripts/setup.sh test    all of that, and browsers, a speech synthesiser and the SDKs that the tests use
set -euo pipefail
cd "$(dirname "$0")/.."

purpose=${1:-run}
build_packages=(build-essential cmake pkg-config)
test_packages=(chromium conntrack coturn espeak-ng firefox-esr iproute2 miniupnpd miniupnpd-nftables nftables openssl pulseaudio python3-venv sox valgrind)

main() {
  case $purpose in
    run) install_debian_packages "${build_packages[@]}" ;;
    test) install_debian_packages "${build_packages[@]}" "${test_packages[@]}" ;;
    *) fail "unknown purpose '$purpose': say 'run' or 'test'" ;;
  esac
  require_rust
  require_node
  install_npm_packages desktop/ui
  if [ "$purpose" = test ]; then
    install_npm_packages tests
    install_npm_packages examples/drop-in
    install_python_packages
  fi
}

install_debian_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: install these (or what they are called here) yourself: $*"
    return
  fi
  local missing=() package
  for package in "$@"; do
    dpkg-query --show --showformat='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  say "installing Debian packages: ${missing[*]}"
  as_root apt-get update -qq
  # Another installation may be under way on a fresh machine: wait for its lock.
  DEBIAN_FRONTEND=noninteractive as_root apt-get -o DPkg::Lock::Timeout=400 install --yes -qq \
    --no-install-recommends "${missing[@]}" >/dev/null
}

require_rust() {
  local wanted
  wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)
  command -v cargo >/dev/null || fail "cargo is missing: install Rust $wanted or newer, then try again"
  local found
  found=$(rustc --version | cut -d' ' -f2)
  at_least "$wanted" "$found" || fail "Rust $found is too old: Banter needs $wanted or newer ('rustup update stable')"
}

require_node() {
  local wanted=20.19.0
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    fail "node and npm are missing: install Node.js $wanted or newer, then try again"
  fi
  local found
  found=$(node --version | tr -d v)
  at_least "$wanted" "$found" || fail "Node.js $found is too old: the web app needs $wanted or newer"
}

install_npm_packages() {
  local folder=$1
  unless_done "$folder/node_modules/.installed" "$folder/package-lock.json" || return 0
  say "installing npm packages in $folder"
  (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error)
  mark_done "$folder/node_modules/.installed" "$folder/package-lock.json"
}

install_python_packages() {
  unless_done .venv/.installed tests/requirements.txt || return 0
  say "installing Python packages in .venv"
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check --requirement tests/requirements.txt
  mark_done .venv/.installed tests/requirements.txt
}

# A stamp holds the checksum of the list that was installed, so that a changed list installs again.
unless_done() { ! { [ -f "$1" ] && sha256sum --check --status "$1"; }; }
mark_done() { sha256sum "$2" >"$1"; }

at_least() { [ "$(printf '%s\n' "$1" "$2" | sort --version-sort | head -n 1)" = "$1" ]; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo --preserve-env=DEBIAN_FRONTEND "$@"
  else
    fail "installing packages needs root or sudo: run as root: $*"
  fi
}

say() { echo "setup: $*"; }
fail() {
  echo "setup: $*" >&2
  exit 1
}

main
