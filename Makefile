# The one interface to the house: everything a person or a CI machine runs is a target here. `make help` lists them.
# The work is done by scripts/, so that each step can be read and run alone.

.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help setup build check test token-suite model faults demo trust-demo bench bench-compare bench-check bench-record image proto proto-check proto-baseline clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing: system packages (Debian, as root) and npm packages
	@scripts/setup.sh

build: setup ## compile to dist/
	@scripts/build.sh

check: proto ## format, lint, types, dead code, import order, compatibility of the .proto files
	@scripts/check.sh

# Setup and build are the first steps of the script: if one fails, the last line still counts it.
test: ## check, then every test; the last line reads "N passed, N failed"
	+@MAKE='$(MAKE)' scripts/test.sh

model: setup ## check the model of attempts and generations exhaustively, and that each rule taken away is missed (QUICK=1: not the large parts)
	@test/model/run.sh $(if $(QUICK),--quick)

token-suite: build ## every token test against every token that is installed (docs/TOKENS.md); lists them
	@node_modules/.bin/vitest run --project 'token *' --project unit --project alone --project system 'daemon/token/' 'test/token-suite/'

faults: build ## inject faults into a live fleet and hold its history against the promises (MINUTES=60, SECONDS=30, SEED=1, RESIZE=1)
	@node dist/test/fault/main.js $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(if $(RESIZE),--resize)

demo: build ## the whole story on this machine, with software tokens (KEEP=1 leaves it running)
	@node dist/demo/main.js $(if $(KEEP),--keep)

trust-demo: build ## two ceremonies with software tokens, a witness and its log; leaves all of it in build/trust/
	@node dist/demo/trust/main.js

bench: build ## measure
	@node dist/test/bench/main.js

bench-compare: build ## measure evaluation, recovery and enrolment against those with wrapped keys, and nothing else
	@node dist/test/bench/compare.js

bench-check: build ## fail if a ratio of the benchmark is worse than recorded (test/bench/recorded.json) by more than a fifth
	@node dist/test/bench/check.js

bench-record: build ## measure these ratios and record them as good
	@node dist/test/bench/check.js --record

image: ## build the container image (TARGET=softhsm: with a software token, for tests)
	@scripts/image.sh $(TARGET)

proto: setup ## generate proto/gen from proto/**/*.proto, as `make build` does
	@scripts/proto.sh generate

proto-check: setup ## lint the .proto files; do old clients still understand
	@scripts/check.sh proto_lint proto_breaking

proto-baseline: setup ## freeze the present .proto files as what old clients understand
	@scripts/proto.sh baseline

clean: ## remove what the other targets made, but not node_modules
	rm -rf dist build
