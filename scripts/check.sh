#!/usr/bin/env bash
# Runs the static checks named, or all of them. Every check runs even when one before it failed; only a failed one prints.
# With COUNTS=file it appends "passed failed" there, for scripts/test.sh.
set -uo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/node_modules/.bin:$PATH"

format_and_lint() { biome ci --error-on-warnings --colors=off .; }
types() { tsc --noEmit && tsc --noEmit --project web; }
dead_code() { knip --no-progress; }
import_order() { depcruise --progress none .; }
proto_lint() { scripts/proto.sh lint; }
proto_breaking() { scripts/proto.sh breaking; }

[ $# -gt 0 ] || set -- format_and_lint types dead_code import_order proto_lint proto_breaking

passed=0 failed=0
for check in "$@"; do
  if output=$("$check" 2>&1); then
    passed=$((passed + 1))
    echo "ok      ${check//_/ }"
  else
    failed=$((failed + 1))
    printf '%s\n' "$output"
    echo "FAILED  ${check//_/ }"
  fi
done

[ -z "${COUNTS:-}" ] || echo "$passed $failed" >>"$COUNTS"
[ "$failed" -eq 0 ]
