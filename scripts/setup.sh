#!/usr/bin/env bash
# Installs what building and testing need and is not there yet. When nothing is missing it touches no network.
set -euo pipefail
cd "$(dirname "$0")/.."

# command:Debian package
tools='softhsm2-util:softhsm2 etcd:etcd-server etcdctl:etcd-client sqlite3:sqlite3 python3:python3 make:make g++:g++ gcc:gcc spin:spin faketime:faketime go:golang-go chromium:chromium jq:jq openssl:openssl'

fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

# A new etcd-server starts a daemon and enables it for the next boot; our tests start their own, on ports of their own.
# invoke-rc.d and deb-systemd-invoke ask policy-rc.d before they start anything, and 101 says no.
policy=/usr/sbin/policy-rc.d
forbid_services() {
  [ -e "$policy" ] && return
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
}

install_packages() {
  forbid_services
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
  case " $* " in
    *' etcd-server '*) [ ! -d /run/systemd/system ] || systemctl disable --quiet etcd.service ;;
  esac
}

missing=()
for tool in $tools; do
  # By command, not by package: a newer etcd than Debian's, or Homebrew's, serves as well.
  command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
done
# A library, and so no command to look for: Go's judge of transparency logs (test/trust/log-judge).
[ -d /usr/share/gocode/src/golang.org/x/mod/sumdb ] || missing+=(golang-golang-x-mod-dev)

# A module is no command. The token suite runs against NSS softokn and p11-kit's proxy too, which most desktops have.
module() {
  compgen -G "/usr/lib/*/$1" >/dev/null || compgen -G "/usr/lib*/$1" >/dev/null || missing+=("$2")
}
module libsoftokn3.so libnss3
module p11-kit-proxy.so p11-kit-modules

if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    fail "missing: ${missing[*]} (names of the Debian packages)" 'Install them by the means of this system, then try again.'
  elif [ "$(id -u)" -ne 0 ]; then
    fail "missing packages: ${missing[*]}" "As root: apt-get install --no-install-recommends ${missing[*]}"
  fi
  echo "setup: installing ${missing[*]}"
  install_packages "${missing[@]}"
fi

command -v node >/dev/null && command -v npm >/dev/null || fail 'missing: Node.js 20.19 or newer, with npm'
node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)' ||
  fail "Node.js 20.19 or newer is needed, this is $(node --version)"

# npm writes this file last, so a half-finished installation is done again.
installed=node_modules/.package-lock.json
if [ ! -e "$installed" ] || [ package-lock.json -nt "$installed" ]; then
  npm ci --no-audit --no-fund
  touch "$installed"
fi
