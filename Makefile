# Two commands do everything on a machine with Python 3.11 or newer and make:
#   make demo    see it run        make test    set up and run every check
# PYTHON=python3.12 make test      chooses the interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
COVERED := .pytest_cache/coverage.json
WORKERS ?= auto
KILLS ?= 500

.DEFAULT_GOAL := help
.PHONY: help demo test checks lint types tests quick clients crash bench docs lock format wheel clean

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## install, start, deploy examples/orders, send orders, print the tree of one, stop
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python examples/orders/demo.py

test: $(DEV) ## set up and run what CI runs: lint, types and all tests
	@$(MAKE) --no-print-directory --keep-going -j3 lint types tests

lint: $(DEV) ## ruff
	$(BIN)/ruff check --quiet src tests bench examples

types: $(DEV) ## mypy --strict on base, store, engine, wire
	$(BIN)/mypy

tests: $(DEV) ## every test, in parallel
	$(BIN)/pytest -q -n $(WORKERS) --dist worksteal

quick: $(DEV) ## the tests that take under a minute together
	$(BIN)/pytest -q -n $(WORKERS) --dist worksteal -m "not slow and not crash"

clients: $(DEV) ## once: install SDKs of other languages and SAM; `make test` runs their tests from then on
	@$(BIN)/python -m tests.clients

crash: $(DEV) ## kill servers under load, KILLS=500 times, and check that nothing acknowledged is lost
	PENSTOCK_TEST_KILLS=$(KILLS) $(BIN)/pytest -q tests/crash

bench: $(DEV) ## measure, beside a bare server in the same run
	$(BIN)/python -m bench

docs: $(DEV) $(COVERED) ## make the generated pages of docs/ again (runs the tests if they did not pass since the last change)
	$(BIN)/python -m tests.pages

format: $(DEV) ## format what is yours: make format FILES="src/penstock/cli"
	$(BIN)/ruff format $(FILES) && $(BIN)/ruff check --fix --quiet $(FILES)

lock: $(DEV) ## lock the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --upgrade \
		pyproject.toml --group build -o requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --upgrade \
		-c requirements.lock pyproject.toml --group dev -o requirements-dev.lock

wheel: $(DEV) ## build dist/*.whl
	$(BIN)/python -m hatchling build

clean: ## remove the environment and what was built
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# What the services did in the last run of all tests: docs/coverage is made of it.
$(COVERED): $(shell find src tests -name '*.py' -o -name '*.sql' -o -name '*.json' -o -name '*.mjs') | $(DEV)
	$(BIN)/pytest -q -n $(WORKERS) --dist worksteal --record-only

$(VENV)/.made:
	@sh scripts/make-environment.sh "$(VENV)" "$(PYTHON)"
	@touch $@

$(RUNTIME): requirements.lock | $(VENV)/.made
	@echo "Installing what Penstock needs into $(VENV) (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements-dev.lock | $(VENV)/.made
	@echo "Installing what developing Penstock needs into $(VENV) (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@ $(RUNTIME)
