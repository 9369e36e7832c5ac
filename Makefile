# One command for each thing that people do here.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEEDS ?= 1000
MINUTES ?= 10
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

.DEFAULT_GOAL := help
.PHONY: help run test lint format bench lock clean packages simulate chaos screenshots

help:  ## List the commands
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

run: $(VENV)/runtime.stamp  ## Start a two-node cluster with its dashboard; Ctrl-C stops it
	@$(BIN)/python -m clusterweb.run

test: lint packages  ## Run all checks and all tests, real processes and Chromium included
	$(BIN)/python -m pytest --numprocesses 2 -m "not cluster and not browser and not simulation"
	$(BIN)/python -m pytest -m simulation
	$(BIN)/python -m pytest -m "cluster or browser"

lint: $(VENV)/dev.stamp  ## Check style, types and the floors of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@$(BIN)/lint-imports > $(VENV)/lint-imports.txt && echo "Imports keep to the floors" || \
	    { cat $(VENV)/lint-imports.txt; exit 1; }

format: $(VENV)/dev.stamp  ## Format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

simulate: $(VENV)/dev.stamp  ## Play simulated nights: make simulate SEEDS=10000
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --workers 2

chaos: $(VENV)/dev.stamp packages  ## Break a cluster in real processes: make chaos MINUTES=10 SEED=1; cuts need root
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

screenshots: $(VENV)/dev.stamp packages  ## Take pictures of every page into docs/img
	@$(BIN)/python -m tests.screenshots

bench: $(VENV)/dev.stamp packages  ## Measure speed and size beside their budgets
	@$(BIN)/python -m benchmarks

lock:  ## Pin the newest allowed packages, from the .in files
	@rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/pip --disable-pip-version-check --quiet install pip-tools
	@for name in requirements requirements-dev; do \
	    $(VENV)-lock/bin/pip-compile --quiet --upgrade --strip-extras --no-header --annotation-style=line \
	        --no-emit-index-url --no-emit-trusted-host --no-emit-find-links $$name.in --output-file $$name.txt || exit 1; \
	done
	@rm -rf $(VENV)-lock

clean:  ## Remove the virtual environment and caches; the home with its data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis test-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The virtual environment is made once, and again only when its requirements have changed.

$(VENV)/runtime.stamp: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	    { echo "clusterweb: Python 3.11 or newer is needed; name it: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "clusterweb: this Python cannot make virtual environments (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@$(BIN)/python -c 'import pip' 2>/dev/null || { echo "Making the virtual environment"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "Installing packages"
	@$(PIP) install --requirement requirements.txt || \
	    { echo "clusterweb: the packages of requirements.txt could not be installed (see above)" >&2; exit 1; }
	@touch $@

$(VENV)/dev.stamp: $(VENV)/runtime.stamp requirements-dev.txt
	@echo "Installing test tools"
	@$(PIP) install --requirement requirements-dev.txt
	@touch $@

# What tests need beside Python packages. Root installs it, others are told.
packages:
	@sh tests/packages.sh
