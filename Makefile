# make demo, make test: each does its own set-up in .venv. See README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROVIDERS := -e providers/openai -e providers/anthropic -e providers/google -e providers/fireworks \
	-e providers/compatible -e providers/local

TRAINING := .venv-training
DOCS := .venv-docs

# More than there may be cores: the slow tests spend half of their time waiting, for retries and polls.
WORKERS ?= 4
# The tests start hundreds of processes, each of which would compile the whole package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-fast test-training check format docs clean

demo: $(VENV)/.demo
	$(BIN)/synthtutor models pull smollm2-135m
	$(BIN)/synthtutor generate misconception --model local/smollm2-135m -n 3 --controls 1 --out runs/demo

test: $(VENV)/.dev
	$(BIN)/synthtutor models pull smollm2-135m
	bash tests/export/install_validators.sh
	bash tests/faults/install_mocks.sh
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow"

# torch and all that goes with it live in an environment of their own; nothing here needs a GPU.
test-training: $(TRAINING)/.dev
	$(TRAINING)/bin/python -W ignore -c "import torch, trl, peft, bitsandbytes"
	$(TRAINING)/bin/synthtutor models pull smollm2-135m
	OMP_NUM_THREADS=2 SYNTHTUTOR_REQUIRE_ALL=1 $(TRAINING)/bin/python -m pytest tests/training providers/transformers

# The site in site/, from docs/ and the docstrings; any warning ends it.
docs: $(DOCS)/.done
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(TRAINING) $(DOCS) .tools dist build site runs/demo

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml providers/*/pyproject.toml
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[report]" -e providers/local
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml providers/*/pyproject.toml tests/requirements.txt
# First the build backend: one for all of these packages, not one download of it for each.
	$(BIN)/python -m pip install -q --disable-pip-version-check -r tests/requirements.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-build-isolation -r tests/requirements.txt -e ".[data,report]" $(PROVIDERS) -e examples/plugin
	touch $@

$(TRAINING)/bin/python:
	$(PYTHON) -m venv $(TRAINING)

$(TRAINING)/.dev: $(TRAINING)/bin/python pyproject.toml tests/training/requirements.txt
	$(TRAINING)/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0
	$(TRAINING)/bin/python -m pip install -q --disable-pip-version-check -r tests/training/requirements.txt -e ".[training,evaluation]" -e providers/local -e providers/transformers
	touch $@

$(DOCS)/bin/python:
	$(PYTHON) -m venv $(DOCS)

$(DOCS)/.done: $(DOCS)/bin/python docs/requirements.txt
	$(DOCS)/bin/python -m pip install -q --disable-pip-version-check -r docs/requirements.txt
	touch $@
