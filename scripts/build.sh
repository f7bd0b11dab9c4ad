#!/usr/bin/env bash
# Generates proto/gen and compiles to dist/. What is not TypeScript stays where it is: the programs find hsm-config/ from the package root.
set -euo pipefail
cd "$(dirname "$0")/.."

# A module whose source is gone would still be imported, tested or shipped. The compiler is not to remember it: the source may come back.
stale() {
  [ -d dist ] || return 0
  find dist -type f -name '*.js' | while read -r file; do
    source=${file#dist/}
    [ -e "${source%.js}.ts" ] || rm -f "$file" "$file.map" "${file%.js}.d.ts" dist/.tsbuildinfo
  done
}

scripts/proto.sh generate
stale
node_modules/.bin/tsc --project tsconfig.json

for program in dist/daemon/main.js dist/cli/main.js dist/witness/main.js; do
  if [ -e "$program" ]; then chmod +x "$program"; fi
done

node scripts/page.mjs
