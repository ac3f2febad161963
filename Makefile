# make course · site · check · test · lab · refresh · bench — each installs what it needs, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Tests on all processors (four at most, for the memory's sake), a file of tests on one; the longest files first.
SPREAD := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := course
.PHONY: course site check test lab refresh bench

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install --constraint constraints.txt torch
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[lab,dev,deploy,full]'
	touch $@

course: $(INSTALLED)  ## run every notebook headless; executed notebooks, and a site of them, under runs/sample
	$(BIN)/minirbt course

site: $(INSTALLED)  ## the course as a site, from the stored notebooks: runs/site/index.html
	$(BIN)/minirbt site

check: $(INSTALLED)  ## before a commit: the linter, and the tests that take seconds
	$(BIN)/ruff check .
	MINIRBT_QUICK=1 $(BIN)/python -m pytest $(SPREAD) -m "not slow"

test: $(INSTALLED)  ## before a push, and in CI: all tests, all notebooks included
	$(BIN)/ruff check .
	$(BIN)/python -m pytest $(SPREAD)

lab: $(INSTALLED)  ## JupyterLab with the course
	$(BIN)/jupyter lab notebooks/00_tour.ipynb

refresh: $(INSTALLED)  ## run the notebooks and keep their outputs in notebooks/
	$(BIN)/python -m minirbt_helpers refresh

bench: $(INSTALLED)  ## speed, as ratios
	$(BIN)/python benchmarks/text.py
	$(BIN)/python benchmarks/distillation.py
	$(BIN)/python benchmarks/dry_run.py
	$(BIN)/python benchmarks/finetuning.py
	$(BIN)/python benchmarks/speed.py
