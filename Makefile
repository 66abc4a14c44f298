# make demo   train, test and predict on rendered videos, from nothing
# make test   the tests
# make lint   what CI checks besides the tests
# make test-slow, make test-slurm   tests that take long; those that start a Slurm cluster here (root, Debian)
# Every target sets up .venv by itself; PYTHON=python3.12 chooses the interpreter, VENV=DIR another place.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := $(shell find mvit_video configs -name '*.py' -o -name '*.yaml' -o -name '*.txt')

.PHONY: demo test test-slow test-slurm lint clean

demo: $(VENV)/.package
	$(BIN)/python tools/demo/run.py

test: $(VENV)/.package
	$(BIN)/pytest

test-slow: $(VENV)/.package
	$(BIN)/pytest -m 'slow and not slurm'

test-slurm: $(VENV)/.package
	$(BIN)/pytest -m slurm

lint: $(VENV)/.package
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The package is installed as a user installs it, and installed again when its files change.
$(VENV)/.package: $(VENV)/.dependencies $(SOURCES) README.md
	rm -rf build
	$(BIN)/pip install --quiet --no-deps --force-reinstall .
	rm -rf build
	touch $@

$(VENV)/.dependencies: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing PyTorch and the rest into $(VENV): a few minutes and about 6 GB the first time"
	rm -rf build
	$(BIN)/pip install --quiet '.[dev]'
	rm -rf build
	touch $@

clean:
	rm -rf build *.egg-info $(VENV) runs/demo
