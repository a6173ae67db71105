# On a fresh machine with Python >= 3.11 and make: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo_out

.PHONY: demo test test-fast test-long lint site clean

# An editable install of the main job's needs; made again when pyproject.toml changes.
$(VENV)/.main: pyproject.toml requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hoijax needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -r requirements.txt
	touch $@

# torch 2.13.0 is only the reference of the parity tests.
$(VENV)/.test: $(VENV)/.main
	$(BIN)/python -m pip install -q -e '.[test,parity,video,masks,beam,site,viewer]'
	touch $@

demo: $(VENV)/.main
	$(BIN)/hoijax demo --out $(OUT)

# Without restarts a crashed worker ends the run and is named; pytest-xdist's loadfile hangs when it restarts one.
# Both workers, and the tests after one that has dropped its programs, read what one of them has compiled.
PROGRAMS := JAX_COMPILATION_CACHE_DIR=$(abspath $(VENV))/programs JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0.1
# Files go to the workers in the order of collection, long ones first (tests/conftest.py).
PYTEST := $(PROGRAMS) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart=0

test: $(VENV)/.test lint site
	$(PYTEST) -m 'not long'

test-fast: $(VENV)/.test
	$(PYTEST) -m 'not slow and not long'

test-long: $(VENV)/.test
	XLA_FLAGS= $(PYTEST) -m long

# Warnings are errors (but with -q, which hides them): a link that leads nowhere, a public name without its docstring's types.
site: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/mkdocs build --strict

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=. $(BIN)/lint-imports --no-cache

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .ruff_cache
