# Needs Python 3.10 or newer (with venv) and make; everything else is installed into .venv.
PYTHON ?= python3
VENV   := .venv
BENCH  := .venv-bench
OLDEST := .venv-oldest
RUN    := $(VENV)/bin/python
PIP    := -m pip install --quiet --disable-pip-version-check

# One BLAS thread per process: the test workers already fill the cores.
export OMP_NUM_THREADS      := 1
export OPENBLAS_NUM_THREADS := 1

# worksteal hands each worker a run of neighbouring tests (so fixtures of a file are mostly built once) and evens out at the end.
PYTEST := -m pytest -q -n auto --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-oldest lint format bench docs clean distclean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.test ## solve a first problem and draw it into out/
	$(RUN) examples/00_demo.py

test: $(VENV)/.test ## run the tests, without the slow ones
	$(RUN) $(PYTEST)

test-slow: $(VENV)/.test ## run the slow tests only
	$(RUN) $(PYTEST) -m slow || [ $$? -eq 5 ] # 5: there is none

test-oldest: $(OLDEST)/.done ## run the tests with the lower bounds of the dependencies
	$(OLDEST)/bin/python $(PYTEST)

lint: $(VENV)/.dev ## check style, formatting and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m pyright --pythonpath $(RUN)

format: $(VENV)/.dev ## format the code and mend what can be mended
	$(RUN) -m ruff check --fix-only --quiet .
	$(RUN) -m ruff format .

bench: $(BENCH)/.done ## measure, against other packages too (in an environment of its own)
	$(BENCH)/bin/python -m pytest -s -m bench tests/benchmarks

docs: ## list what there is to read
	@find docs -name '*.md' | sort | while read -r page; do printf '%s: %s\n' "$$page" "$$(sed -n '1s/^# *//p' "$$page")"; done

clean: ## remove what was built, drawn or cached
	rm -rf build dist out *.egg-info .pytest_cache .ruff_cache
	find ocnet problems tests examples -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## remove the environments too
	rm -rf $(VENV) $(BENCH) $(OLDEST)

$(VENV)/.test: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) $(PIP) -c constraints.txt -e '.[test]'
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	$(RUN) $(PIP) -c constraints.txt -e '.[dev]'
	@touch $@

$(BENCH)/.done: pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python $(PIP) -e '.[bench]'
	@touch $@

$(OLDEST)/.done: pyproject.toml
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python $(PIP) uv
	VIRTUAL_ENV=$(OLDEST) $(OLDEST)/bin/uv pip install --quiet --resolution lowest-direct -e '.[test]'
	@touch $@
