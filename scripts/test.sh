#!/usr/bin/env bash
# Checks and tests. Whatever happens, the last line reads "N passed, N failed", and the exit status is 0 only for 0 failed.
# A check counts as one test.
set -uo pipefail
cd "$(dirname "$0")/.."

COUNTS=$(mktemp)
export COUNTS
trap 'rm -f "$COUNTS"' EXIT

# A part appends "passed failed" to $COUNTS. One that died before it could is one failure.
part() {
  local counted
  counted=$(wc -l <"$COUNTS")
  "$@" && return
  [ "$(wc -l <"$COUNTS")" -gt "$counted" ] || echo '0 1' >>"$COUNTS"
}

build() {
  "${MAKE:-make}" setup build
}

# Without the large configurations, which take minutes: `make model` has them all.
model() {
  test/model/run.sh --quick && echo '1 0' >>"$COUNTS"
}

part build
if [ ! -s "$COUNTS" ]; then
  part scripts/check.sh
  part model
  part node_modules/.bin/vitest run
fi

awk '{ passed += $1; failed += $2 } END { printf "%d passed, %d failed\n", passed, failed; exit failed > 0 }' "$COUNTS"
