# `make` alone lists what there is. Everything lives in .venv and models/; nothing else on the machine is touched.

# The first of these that is new enough; `make PYTHON=/path/to/python` overrides it.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
MODELS := models
# What is linted, formatted and type-checked: the folders that hold Python.
CODE := $(foreach folder,src tests tools benchmarks examples,$(if $(shell find $(folder) -name '*.py' -print -quit 2>/dev/null),$(folder)))
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help up models test test-slow check format bench constraints clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

up: $(VENV)/samples.stamp ## serve the sample models on http://127.0.0.1:8000
	@exec $(BIN)/hekla up --repository $(MODELS)

models: $(VENV)/samples.stamp ## make the sample models in models/
	@$(BIN)/hekla models pull --repository $(MODELS)

test: $(VENV)/dev.stamp models ## run the tests of every commit
	$(BIN)/python -m pytest -q

test-slow: $(VENV)/dev.stamp models ## run the tests that take longer
	$(BIN)/python -m pytest -q -m slow

check: $(VENV)/dev.stamp ## check format, lint and types
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)

format: $(VENV)/dev.stamp ## format the code and cure what the linter can cure
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: $(VENV)/dev.stamp models ## measure the server beside its peers (long)
	$(BIN)/python -m benchmarks.serve

constraints: $(VENV)/dev.stamp ## take the newest versions that fit and write constraints.txt
	$(BIN)/python -m pip install --upgrade --upgrade-strategy eager --editable '.[dev]'
	@head -n 2 constraints.txt > constraints.new
	$(BIN)/python -m pip freeze --exclude-editable >> constraints.new
	@mv constraints.new constraints.txt

clean: ## remove .venv, caches and what was built; the models stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Some systems ship Python without ensurepip: then the system's pip fills the environment.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Hekla needs Python 3.11 or newer: install it, or make PYTHON=/path/to/python"; exit 1; }
	@echo "making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) 2>/dev/null \
		|| { $(PYTHON) -m venv --clear --without-pip $(VENV) \
			&& $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; } \
		|| { rm -rf $(VENV); echo "$(PYTHON) has neither ensurepip nor pip: install python3-venv or pip"; exit 1; }

# A stamp is younger than what it was installed from, so a second `make` installs nothing.
$(VENV)/samples.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing Hekla and what its sample models need"
	@$(PIP) --editable '.[samples]'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing Hekla and what its tests need"
	@$(PIP) --editable '.[dev]'
	@touch $(VENV)/samples.stamp $@
