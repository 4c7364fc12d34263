# make demo, make test: each does its own set-up in .venv. See README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROVIDERS := -e providers/openai -e providers/anthropic -e providers/google -e providers/fireworks \
	-e providers/compatible -e providers/local

.PHONY: demo test test-fast check format docs clean

demo: $(VENV)/.demo
	$(BIN)/synthtutor models pull smollm2-135m
	$(BIN)/synthtutor generate misconception --model local/smollm2-135m -n 3 --controls 1 --out runs/demo

test: $(VENV)/.dev
	$(BIN)/synthtutor models pull smollm2-135m
	bash tests/export/install_validators.sh
	bash tests/faults/install_mocks.sh
	$(BIN)/python -m pytest -n 2

test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 -m "not slow"

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .tools dist build runs/demo

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml providers/*/pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check -e . -e providers/local
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml providers/*/pyproject.toml tests/requirements.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -r tests/requirements.txt -e ".[data]" $(PROVIDERS) -e examples/plugin
	touch $@
