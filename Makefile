# Everything a newcomer needs: Python 3.11 to 3.13 and make. `make lab` and `make test` set up what they use.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := tensortrigger_lab backend server_extension tests benchmarks scripts

# The first interpreter that is new enough; set PYTHON to choose another.
PYTHON ?= $(shell for python in python3.12 python3.13 python3.11 python3; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo "$$python" && break; done)

# TensorFlow takes twice as long to import where no bytecode is kept.
unexport PYTHONDONTWRITEBYTECODE
export UV_COMPILE_BYTECODE := 1

LABEXTENSION := tensortrigger_lab/labextension
LABEXTENSION_SOURCES := $(shell find labextension/src labextension/style labextension/schema -type f) \
	labextension/package.json labextension/yarn.lock labextension/tsconfig.json

.PHONY: help setup lab demo labextension browser services servers test chaos quick check bench clean

help: ## Show what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP) ## Make .venv with everything in it

$(STAMP): pyproject.toml labextension/hatch_build.py
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed; set PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore uv
	@echo "Installing JupyterLab and TensorFlow and building the lab extension: two minutes, or five on a small machine."
	$(BIN)/uv pip install --python $(BIN)/python --quiet --editable '.[lab]' --group dev
	@rm -rf $(VENV)/share/jupyter/labextensions/tensortrigger-lab
	@ln -s $(abspath $(LABEXTENSION)) $(VENV)/share/jupyter/labextensions/tensortrigger-lab
	@touch $@

labextension: $(STAMP) $(LABEXTENSION)/package.json ## Build the lab extension again, where its sources have changed

$(LABEXTENSION)/package.json: $(LABEXTENSION_SOURCES) | $(STAMP)
	cd labextension && PATH="$(abspath $(BIN)):$$PATH" jlpm install --immutable && PATH="$(abspath $(BIN)):$$PATH" jlpm build:prod

# Jupyter refuses to run as root unless told so; in a container that is the only user there is.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

lab: labextension ## Open JupyterLab with the backend embedded and the quickstart ready
	$(BIN)/jupyter lab $(AS_ROOT) $(LAB_OPTIONS) notebooks/01_quickstart.ipynb

demo: $(STAMP) ## Tell the quickstart's story in the terminal, on real data
	$(BIN)/python scripts/demo.py

# The tests of the page need a real browser; without one they are skipped, and in CI they fail.
browser: ## Install Chromium for the tests of the page, where that may be done
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	&& apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; } \
	|| echo "No Chromium: the tests of the page will be skipped. Install the package 'chromium' to run them." >&2

services: $(STAMP) ## Start PostgreSQL, RabbitMQ and an S3 server for development, where they do not run
	@scripts/services up

# Tests start servers of their own, where these are installed; in CI their absence is a failure.
servers: $(STAMP)
	@scripts/services install

# The tests of the page come last and by themselves: they hold a stopwatch.
test: labextension browser servers ## Run all tests
	$(BIN)/python -m pytest -n 2 --ignore tests/browser
	$(BIN)/python -m pytest tests/browser

# What `make test` breaks a few times, as often as docs/chaos.md promises: 40 minutes.
chaos: $(STAMP) servers ## Break a deployment as often as is promised, and check every row
	TENSORTRIGGER_CHAOS=full $(BIN)/python -m pytest tests/chaos --timeout 14400

quick: $(STAMP) ## Run the tests that need no TensorFlow, no running backend and no other server
	$(BIN)/python -m pytest -n 2 -m 'not slow'

check: $(STAMP) ## Lint, check types and import layers
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/lint-imports --no-cache
	@if command -v node >/dev/null; then cd labextension && PATH="$(abspath $(BIN)):$$PATH" jlpm lint; \
	else echo "No Node: the lab extension is not linted." >&2; fi

bench: $(STAMP) ## Measure serving, jobs, publishing, serving beside a training, and watching a fit
	$(BIN)/uv pip install --python $(BIN)/python --quiet --group bench
	$(BIN)/python benchmarks/serve.py
	$(BIN)/python benchmarks/serve_while_training.py
	$(BIN)/python benchmarks/callback_overhead.py
	$(BIN)/python benchmarks/publish.py
	$(BIN)/python benchmarks/applications.py
	$(BIN)/python benchmarks/jobs.py

clean: ## Remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	rm -rf $(LABEXTENSION) labextension/lib labextension/node_modules
