SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup serve serve-large test lint fmt bench bench-quick bench-peers clean

BIN := .venv/bin
# uv from the PATH when it runs, else our own copy.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .tools/bin/uv)
# Options for what a target starts: make serve ARGS="--port 9000", make test ARGS="-k collections".
ARGS ?=
# The part of the package whose branches tests must cover by calling it: all below these edges, which run in processes of
# their own. To trace those too would make the suite a sixth slower.
EDGES := */pinakes/api/*,*/pinakes/web/*,*/pinakes/cli/*,*/pinakes/media/child.py,*/pinakes/media/probers/*

# What the peers of the benchmark are installed into.
PEERS := $(patsubst %/requirements.txt,%/.venv/.stamp,$(wildcard bench/peers/*/requirements.txt)) \
	$(patsubst %/package.json,%/node_modules/.stamp,$(wildcard bench/peers/*/package.json))

# Say what there is.
help:
	@awk '/^# /{text=substr($$0,3)} /^[a-z-]+:/{sub(/:.*/,""); printf "make %-12s %s\n",$$0,text}' Makefile

# Install Python packages as uv.lock names them; does nothing when nothing changed.
setup: .venv/.stamp

# Set everything up and serve on 127.0.0.1:8420 with ./data.
serve: setup
	@exec $(BIN)/pinakes serve $(ARGS)

# The same on PostgreSQL, an S3 server and two workers, all on this machine, with ./data-large.
serve-large: setup
	@exec $(BIN)/python -m local -- $(ARGS)

# Set everything up and run the whole suite: lint, then tests, then the coverage the core must have.
test: lint
	@tests/system-packages
	$(BIN)/coverage erase
	$(BIN)/pytest -n 2 --cov --cov-report= $(ARGS)
	$(BIN)/coverage report --omit='$(EDGES)' --fail-under=95

# Check layers, style and types.
lint: setup
	$(BIN)/lint-imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Put the code into its one format.
fmt: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Measure a server of this package; needs wrk.
bench: setup
	@$(BIN)/python -m bench $(ARGS)

# The same in less than three minutes, without peers: how near it is to the limit.
bench-quick: setup
	@$(BIN)/python -m bench --quick $(ARGS)

# Measure it beside other services that do the same job (bench/peers); needs wrk.
bench-peers: setup $(PEERS)
	@$(BIN)/python -m bench --peers $(ARGS)

# Remove what the tools made; ./data stays.
clean:
	rm -rf .venv bench/peers/*/.venv bench/peers/*/node_modules .tools build dist htmlcov .coverage .coverage.* .hypothesis .*_cache
	find bench src tests -name __pycache__ -prune -exec rm -rf {} +

.venv/.stamp: pyproject.toml uv.lock | $(filter .tools/bin/uv,$(UV))
	@$(UV) python find '>=3.11' >/dev/null 2>&1 || echo 'No Python 3.11 or newer is installed; uv fetches one.' >&2
	@$(UV) sync --quiet --locked
	@touch $@

# In the peer's folder, where uv also finds its .python-version and its uv.toml.
bench/peers/%/.venv/.stamp: bench/peers/%/requirements.txt
	@$(UV) venv --quiet --clear --directory $(<D) .venv
	@$(UV) pip install --quiet --directory $(<D) --python .venv -r requirements.txt
	@touch $@

# Scripts of packages do not run, but for those that the peer itself names in its script "setup".
bench/peers/%/node_modules/.stamp: bench/peers/%/package.json bench/peers/%/package-lock.json
	@cd $(<D) && npm ci --loglevel=error --no-audit --no-fund --ignore-scripts >/dev/null
	@cd $(<D) && npm run --loglevel=error --if-present setup >/dev/null
	@touch $@

# The copy of uv for a machine without one, from a Python with venv or, failing that, with pip.
.tools/bin/uv:
	@{ python3 -m venv .tools && .tools/bin/python -m pip install --quiet uv; } >.tools.log 2>&1 \
	|| { rm -rf .tools; python3 -m pip install --quiet --target .tools uv; } >>.tools.log 2>&1 \
	|| { rm -rf .tools; \
	     echo 'Cannot install uv (see .tools.log). Install it, or a Python with venv (Debian: apt install python3-venv).' >&2; \
	     exit 1; }
	@rm -f .tools.log
