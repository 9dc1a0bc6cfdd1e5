# Trunkline: every target does its own set-up. Start with `make demo` or `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What the tests run beside Trunkline; each on ports and in folders of its own
PEERS := libusrsctp2 tshark iproute2 bind9 sip-tester kamailio kamailio-sqlite-modules redis-server postgresql mariadb-server

.PHONY: help demo test lint format bench fuzz interop soak clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml tools/environment.sh
	@tools/environment.sh $(PYTHON) $(VENV)
	@touch $@

demo: $(READY) ## Four countries over SS7: come up, ping, call, lose a link, find the way round
	@tools/system-packages.sh libusrsctp2
	@$(BIN)/trunkline demo $(DEMO)

test: $(READY) ## Format, lint, types, floors and every test (at most 10 minutes on 2 cores)
	@tools/system-packages.sh $(PEERS)
	@$(MAKE) --no-print-directory lint
	@tools/test.sh $(BIN)/pytest $(ARGS)

lint: $(READY) ## Format, lint, types, floors
	@! git grep -nE '^(<{7}|>{7}) ' || { echo "finish the merge"; exit 1; }
	@$(BIN)/ruff format --check --quiet || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## Put the code into the house's format
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

bench: $(READY) ## Measure, and write docs/performance.md
	@tools/system-packages.sh libusrsctp2
	@$(BIN)/python -m bench $(ARGS)

fuzz: $(READY) ## Feed every codec and reader with mutated input (SECONDS_EACH=60)
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS_EACH),60)

interop: $(READY) ## The full list of foreign peers
	@tools/system-packages.sh $(PEERS) qemu-system-x86 busybox-static cpio osmo-stp
	@TRUNKLINE_INTEROP_PAGE=docs/interop.md $(BIN)/pytest tests/interop $(ARGS)

soak: $(READY) ## The lab under calls and cuts for an hour (MINUTES=60)
	@tools/system-packages.sh libusrsctp2
	@$(BIN)/python -m bench.soak --minutes $(or $(MINUTES),60)

clean: ## Remove the environment and all caches
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
