# The gateway's commands. `make` alone lists them.
#
# Needs make and Python 3.11 or newer with venv; everything else goes into .venv, pinned and checked by hash.

PYTHON ?= python3
export PORT ?= 5000
PYTEST_ARGS ?=
EXACTNESS_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
MANAGE := $(PY) manage.py
RUNTIME := $(VENV)/.runtime
TOOLS := $(VENV)/.tools

EMBEDDED := env -u DATABASE_URL -u REDIS_URL
INSTALL := $(BIN)/uv pip install --quiet --python $(PY) --require-hashes
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.PHONY: help run dev test test-services lint types bench exactness requirements clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---- Run ------------------------------------------------------------------------------------------------------------

# Without a database to talk to, one process does everything (SQLite, and a Redis inside the process).
ifeq ($(strip $(DATABASE_URL)),)
run dev: export GATEWAY_ALLOW_EMBEDDED = 1
endif

define prepare
	@echo "Preparing the database"
	@$(MANAGE) migrate --verbosity 0
	@echo "Adding the demo data"
	@$(MANAGE) demo
	@$(MANAGE) demo_comparisons
endef

run: $(RUNTIME) ## Start the gateway on PORT (5000), with demo data
	$(prepare)
	@echo "Starting the gateway on port $(PORT)"
	@$(MANAGE) serve --port $(PORT)

dev: $(TOOLS) ## The same, restarting whenever a file changes
	$(prepare)
	@echo "Starting the gateway on port $(PORT), with auto-reload"
	@$(BIN)/watchfiles '$(MANAGE) serve --port $(PORT)' accounts proxy comparisons gateway_project

# ---- Check ----------------------------------------------------------------------------------------------------------

test: $(TOOLS) ## Run the tests (PYTEST_ARGS="-k stream -x")
	@$(EMBEDDED) $(PY) -m pytest $(PYTEST_ARGS)

test-services: $(TOOLS) ## The same and more on the Postgres and Redis of DATABASE_URL and REDIS_URL, and in Chromium
	@for name in DATABASE_URL REDIS_URL; do \
	    [ -n "$$(printenv $$name)" ] || { \
	        echo "Please set $$name first, for example:"; \
	        echo "  DATABASE_URL=postgres://user:password@127.0.0.1:5432/gateway REDIS_URL=redis://127.0.0.1:6379/0 make $@"; \
	        exit 1; }; \
	done
	@GATEWAY_TEST_SERVICES=1 SECRET_KEY=$${SECRET_KEY:-only-for-the-tests} $(PY) -m pytest $(PYTEST_ARGS)

lint: $(TOOLS) ## Check style and imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(TOOLS) ## Check the types
	@$(EMBEDDED) $(BIN)/mypy

bench: $(TOOLS) ## Measure the hot path (PEERS=1: other gateways, too; needs DATABASE_URL, redis-server, nginx, wrk)
	@$(PY) -m benchmarks.speed $(if $(PEERS),--peers) $(BENCH_ARGS)

exactness: $(TOOLS) ## Show that no token is lost or counted twice (needs DATABASE_URL and redis-server)
	@$(PY) -m benchmarks.exactness $(EXACTNESS_ARGS)

# ---- Look after -----------------------------------------------------------------------------------------------------

requirements: $(BIN)/uv ## Pin the packages again (UPGRADE=1 for newer ones)
	@$(COMPILE) requirements/uv.in -o requirements/uv.txt
	@$(COMPILE) requirements.in -o requirements.txt
	@$(COMPILE) requirements/dev.in -o requirements/dev.txt

clean: ## Remove what make and the tools made (not var/, your data)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache staticfiles
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- Install, again only when the pinned packages change ------------------------------------------------------------

$(BIN)/uv: requirements/uv.txt
	@echo "Preparing $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "The gateway needs Python 3.11 or newer; '$(PYTHON)' is not (or is missing)."; \
	    echo "On Debian and Ubuntu:  sudo apt-get install python3.12 python3.12-venv && make run PYTHON=python3.12"; \
	    exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "Python's venv module is missing."; \
	    echo "On Debian and Ubuntu:  sudo apt-get install python3-venv"; \
	    exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(RUNTIME): requirements.txt $(BIN)/uv
	@echo "Installing the gateway's packages (about a minute the first time)"
	@$(INSTALL) -r requirements.txt
	@touch $@

$(TOOLS): requirements/dev.txt $(RUNTIME)
	@echo "Installing the test tools"
	@$(INSTALL) -r requirements.txt -r requirements/dev.txt
	@touch $@
