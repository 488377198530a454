# Two commands: `make leaderboard` runs the main job, `make test` the tests. Both create .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONSTRAINTS ?= constraints.txt
TORCH ?= torch

# Compiled files are kept: without them each process of a test compiles the program again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: leaderboard test test-all test-versions lint types install clean

leaderboard: $(VENV)/.installed
	$(BIN)/bench leaderboard $(ARGS)

# A file's tests stay together: they share what is expensive to make.
test: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

test-all: $(VENV)/.installed
	$(BIN)/python -m pytest -m 'not gpu' $(ARGS)

# Other Pythons, the oldest and the newest dependencies: make test-versions ARGS='--all-tests 3.12'
test-versions:
	.ci/versions $(ARGS)

lint: $(VENV)/.installed
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

types: $(VENV)/.installed
	$(BIN)/mypy

install: $(VENV)/.installed

# PyTorch first and pinned: by itself pip may choose a build with gigabytes of CUDA. RecBole, whose
# wheel has MovieLens 100k in it, without its dependencies: on Python 3.12 and later ray is missing.
$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) $(TORCH)
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) -e '.[dev,recbole]'
	$(BIN)/python -m pip install --quiet -c $(CONSTRAINTS) --no-deps recbole
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
