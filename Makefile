# Trunkline. `make` prints this menu; `make demo` and `make test` do all their own set-up on a fresh machine.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-real check bench chaos load lock new-adapter new-sink wheel clean

help: ## this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Trunkline needs Python 3.11 or newer; run make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "setting up $(VENV) from requirements.lock (about a minute, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## a call centre for a minute, end to end, and whether every call arrived
	@$(BIN)/trunkline demo $(ARGS)

test: $(STAMP) ## unit tests, laws, and integration on the real Kafka and the real ClickHouse engine
	@$(BIN)/python -m pytest -m "not real and not chaos" $(ARGS)

test-real: $(STAMP) ## a real Asterisk in two versions, a real Odoo and a real schema registry, built on this machine
	@$(BIN)/python -m pytest -m real --timeout=1800 $(ARGS)

check: $(STAMP) ## format, lint, types, layers, schemas
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/trunkline schemas check

bench: $(STAMP) ## events per second and CPU per event beside the raw limits of the same run
	@$(BIN)/python -m tests.bench $(ARGS)

chaos: $(STAMP) ## kill every process again and again under load; calls and journal must equal the truth
	@$(BIN)/python -m pytest -m chaos --timeout=3600 $(ARGS)

load: $(STAMP) ## five minutes of 2 x 50 calls a second, events doubled, late and lost; records must equal the truth or say so
	@TRUNKLINE_LOAD_SECONDS=$${TRUNKLINE_LOAD_SECONDS:-300} $(BIN)/python -m pytest tests/chaos/test_load.py -m chaos --timeout=3600 -s $(ARGS)

lock: $(STAMP) ## requirements.lock anew from pyproject.toml, with hashes and no registry addresses
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --group dev --upgrade pyproject.toml -o requirements.lock

new-adapter: $(STAMP) ## NAME=…: a PBX adapter's file and a fixture folder that fails until filled
	@$(BIN)/python -m tests.support.scaffold adapter "$(NAME)"

new-sink: $(STAMP) ## NAME=…: a CRM connector's file and a fixture folder that fails until filled
	@$(BIN)/python -m tests.support.scaffold sink "$(NAME)"

wheel: $(STAMP) ## the wheel in dist/
	@$(BIN)/python -m hatchling build -t wheel

clean: ## remove what make made
	@rm -rf $(VENV) build dist var .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .import_linter_cache
