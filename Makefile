# The two commands to know: `make demo` and `make test`. Both make what they need on their first run.

# the first Python that can be used; where there is none but uv, uv fetches one
PYTHON ?= $(shell for python in python3.12 python3.13 python3.11 python3; do \
	if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; \
	then echo $$python; break; fi; done)
VENV := .venv
BIN := $(VENV)/bin
OLDEST := .venv-oldest
SERVERS := tests/servers/node_modules
SPARK_JARS := tests/servers/spark_jars

# tests are the same whatever Airflow or workspace the surroundings have
export AIRFLOW_HOME := $(CURDIR)/.airflow
unexport ML_PIPELINES_WORKSPACE

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz test-unit test-system test-oldest lint docs format bench clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.ready ## run the example on an Airflow of its own, three times (ONCE=1: and end then)
	@$(BIN)/python tools/demo.py $(if $(ONCE),--once)

test: lint docs test-unit fuzz test-system ## all checks and tests

test-unit: $(VENV)/.ready $(SERVERS)/.ready ## tests without an Airflow server
	$(BIN)/python -m pytest -m "not system" -n logical --dist worksteal $(ARGS)

test-system: $(VENV)/.ready $(SERVERS)/.ready $(SPARK_JARS)/.ready ## tests that start an Airflow or take minutes
	$(BIN)/python -m pytest -m system -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-oldest: $(OLDEST)/.ready $(SERVERS)/.ready ## tests with the oldest Airflow that is supported
	$(OLDEST)/bin/python -m pytest -m "not system or oldest" $(ARGS)

fuzz: $(VENV)/.ready ## look for texts and documents that crash a reader (SECONDS=600: for so long)
	@if $(BIN)/python -c 'import atheris' 2>/dev/null || \
		tools/venv.sh $(VENV) "$(PYTHON)" -e '.[dev,fuzz]' >/dev/null 2>&1; \
	then $(BIN)/python tests/fuzz/run.py $(or $(SECONDS),120); \
	else echo "atheris can't be installed here (there are packages of it for Linux alone): nothing is fuzzed"; fi

lint: $(VENV)/.ready ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/.ready ## make HTML of the documentation, in build/docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html -d build/doctrees docs build/docs

format: $(VENV)/.ready ## put the code in order
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.ready ## measure against peers, into benchmarks/results.json (ARGS="snapshot": only that)
	$(BIN)/python benchmarks/run.py $(ARGS)

clean: ## remove what the other commands made
	rm -rf $(VENV) $(OLDEST) $(SERVERS) $(SPARK_JARS) .airflow .demo .fuzz .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.ready: pyproject.toml
	@tools/venv.sh $(VENV) "$(PYTHON)" -e '.[dev]'

$(OLDEST)/.ready: pyproject.toml
	@tools/venv.sh $(OLDEST) "$(PYTHON)" -e '.[dev]' 'apache-airflow==3.1.8'

# test servers that PyPI does not have; without npm the tests that need them say so
$(SERVERS)/.ready: tests/servers/package.json
	@if command -v npm >/dev/null; then \
		npm install --prefix tests/servers --no-package-lock --no-audit --no-fund --loglevel=error && touch $@; \
	else echo "npm is not installed: no tests with Azurite"; fi

# JARs with which Spark opens S3; without them the tests that need them say so
$(SPARK_JARS)/.ready: $(SPARK_JARS).txt | $(VENV)/.ready
	@UV_SYSTEM_CERTS=true $(BIN)/uv pip install --quiet --no-deps --require-hashes --python $(BIN)/python \
		--target $(SPARK_JARS) --requirements $< && touch $@ \
		|| echo "no package index has the JARs of $<: no tests with Spark on S3"
