# Two commands: `make leaderboard` runs the main job, `make test` the tests. Both create .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: leaderboard test test-all lint types install clean

leaderboard: $(VENV)/.installed
	$(BIN)/bench leaderboard $(ARGS)

# A file's tests stay together: they share what is expensive to make.
test: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

test-all: $(VENV)/.installed
	$(BIN)/python -m pytest -m 'not gpu' $(ARGS)

lint: $(VENV)/.installed
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

types: $(VENV)/.installed
	$(BIN)/mypy

install: $(VENV)/.installed

# PyTorch first and pinned: by itself pip may choose a build with gigabytes of CUDA.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
