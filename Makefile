# make repro | make test | make app | make bench | make lint | make coverage | make verify: each sets up .venv first if it is missing or stale.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# DVC starts its stages with the `python` on PATH.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: repro test coverage app bench lint verify pins

repro: $(READY)
	$(BIN)/dvc repro

# Two processes, each file in one of them, since a file's tests share what it made. -rs: without a Chromium the tests
# that drive the app in one are skipped, and the summary says so.
test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -rs

# The tests again, slower, and which statements of plotwright/ and stages/ they run, those of other processes among them.
coverage: $(READY)
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -n 2 --dist loadfile --no-loadscope-reorder -rs
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

app: $(READY)
	$(BIN)/streamlit run app

# Speed and memory of everything, against peers and against what the machine can do: about a quarter of an hour.
bench: $(READY)
	$(BIN)/python benchmarks/bench.py benchmarks/results

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Run everything in a fresh clone and compare its dvc.lock with the committed one.
verify: $(READY)
	$(BIN)/python benchmarks/verify.py

# Resolve requirements.txt anew from the ranges in pyproject.toml, then run the tests before committing it.
pins:
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e ".[dev]"
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.txt
	touch $(READY)

# Rebuilt whenever the pins or the package's own declaration change.
$(READY): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Plotwright needs Python 3.11 or newer: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@
