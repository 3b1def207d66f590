# make demo             train on handwritten digits (a fresh machine needs Python 3.11 or later, nothing else)
# make test             format, lint, types and every test, against PyTorch where it can be installed
# make test-compiled    every test, with everything compiled at first sight
# make random-programs  20,000 random programs must agree with PyTorch, and 20,000 compiled ones with NumPy
# make bench            the benchmarks
# make format           rewrite the sources as `make test` wants them

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input
PROGRAMS ?= 20000
# What `make test` also runs compiled; `make test-compiled` runs everything so, which takes longer:
# graphs of a hundred thousand operations are compiled before they are run.
# The same tests run interpreted what was compiled when tidu was installed: the rest runs that.
# Recording a function looks at all objects of the process, of which the whole suite leaves very many:
# tests/replay has a process of its own. Object code made by tests is kept out of the home folder.
test test-compiled random-programs: export TIDU_CACHE_DIR := $(CURDIR)/$(VENV)/kernels
COMPILED := tests/ops tests/oracle tests/autograd tests/clients --ignore tests/autograd/test_scale.py
BENCHMARKS := import_time cost_per_op chain_scaling memory_flat mathematics convolution cold_start recompiles resnet_float64 compare_all
# Bytecode beforehand: also where Python is told not to write any, importing tidu is quick.
COMPILE := $(BIN)/python -m compileall -q src || true

.PHONY: demo test test-compiled random-programs bench format clean

demo: $(VENV)/.demo
	$(BIN)/tidu run examples/digits.py

test: $(VENV)/.test
	$(BIN)/ruff format --check --quiet --output-format concise
	$(BIN)/ruff check --quiet --output-format concise
	$(BIN)/mypy
	TIDU_AHEAD=0 TIDU_TIER=1 $(BIN)/python -m pytest $(COMPILED)
	TIDU_AHEAD=0 $(BIN)/python -m pytest tests/replay
	$(BIN)/python -m pytest tests/replay
	$(BIN)/python -m pytest --ignore tests/replay

test-compiled: $(VENV)/.test
	TIDU_TIER=1 $(BIN)/python -m pytest

random-programs: $(VENV)/.test
	TIDU_RANDOM_PROGRAMS=$(PROGRAMS) $(BIN)/python -m pytest tests/oracle/test_random_programs.py
	TIDU_RANDOM_PROGRAMS=$(PROGRAMS) TIDU_TIER=1 $(BIN)/python -m pytest tests/oracle/test_random_programs.py
	TIDU_RANDOM_PROGRAMS=$(PROGRAMS) $(BIN)/python -m pytest tests/compiler/test_random_regions.py

bench: $(VENV)/.test
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit; done

format: $(VENV)/.test
	$(BIN)/ruff format --quiet
	$(BIN)/ruff check --fix --quiet

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"tidu needs Python 3.11 or later, and $(PYTHON) is {sys.version.split()[0]}: use make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The stamps: nothing is installed again until one of these files changes.
$(VENV)/.demo: $(VENV)/.made pyproject.toml
	$(PIP) -e '.[examples]'
	@$(COMPILE)
	@touch $@

# The exact versions of the lock file where there are wheels for them, else what the ranges allow.
# Tests that compare with PyTorch skip themselves where it cannot be installed.
$(VENV)/.test: $(VENV)/.made pyproject.toml requirements.lock
	$(PIP) -c requirements.lock -e '.[examples,test,dev]' || $(PIP) -e '.[examples,test,dev]'
	$(PIP) -c requirements.lock -e '.[oracle]' || $(PIP) -e '.[oracle]' \
	    || echo "PyTorch cannot be installed here: the tests that compare with it are skipped"
	@$(COMPILE)
	@touch $@
