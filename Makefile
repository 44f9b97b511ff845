# Two commands on a fresh machine (git, make, python3 >= 3.11): `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
TOOLS := .venv-tools
UV := $(TOOLS)/bin/uv
.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench bench-saturation bench-engine soak kill-nights fuzz lock test-lowest clean

help:  ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(VENV)/.done  ## Make .venv with everything in it, pinned

$(VENV)/.done: .lock/requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mvmesh needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Say: make PYTHON=python3.12 ...")'
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "Python has no venv here; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing into $(VENV), pinned: about half a minute ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r .lock/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "Compiling the engine's kernels, once: about half a minute ..."
	$(BIN)/python -m pipeline.geometry
	@touch $@

demo: setup  ## Turn the sample sets into meshes on the embedded service
	$(BIN)/mvmesh run configs/quickstart.yaml --yes

test: setup  ## Run the tests
	$(BIN)/python -m pytest -q

check: setup  ## Lint, types, import direction; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: setup  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  ## Measure what the README claims, and what one would use instead
	$(BIN)/python tests/bench/main_job.py
	$(BIN)/python tests/bench/faults.py --hurry 4

bench-saturation: setup  ## Measure how busy the service is kept, and at what cost: half an hour
	for one in startup throughput slots ceiling latency big_meshes libraries virtual_slots comparing; do \
		$(BIN)/python tests/bench/$$one.py || exit 1; done

bench-engine: setup  ## SETS=folders with ground truths: measure the engine's meshes, times, files; draw contact sheets
	for one in quality texture times validity rivals; do $(BIN)/python tests/bench/engine_$$one.py $(SETS) || exit 1; done
	$(BIN)/python tests/bench/contact_sheets.py out/contact-sheets $(SETS)

soak: setup  ## SEEDS=1000 nights in virtual time: faults, crashes, all promises
	$(BIN)/python tests/bench/soak.py --seeds $(or $(SEEDS),1000) --processes 2

kill-nights: setup  ## SEEDS=5 nights of real processes: runs and a faulty service are killed
	$(BIN)/python tests/bench/kill_nights.py --seeds $(or $(SEEDS),5)

fuzz: setup  ## EXAMPLES=2000 of whatever is read: manifests, answers, meshes, requests
	HYPOTHESIS_PROFILE=deep HYPOTHESIS_EXAMPLES=$(or $(EXAMPLES),2000) $(BIN)/python -m pytest -q -o faulthandler_timeout=0 \
		tests/fuzz tests/domain tests/ports/test_retrying.py tests/service/test_any_request.py

lock: $(UV)  ## Pin what pyproject.toml asks for
	$(UV) pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes --only-binary :all: \
		--custom-compile-command "make lock" --extra engine --group pyproject.toml:dev pyproject.toml -o .lock/requirements.txt

test-lowest: $(UV)  ## Run the tests on the oldest dependencies that pyproject.toml allows (best with Python 3.11)
	$(UV) venv --quiet --no-config --clear --python $(PYTHON) $(LOWEST)
	$(UV) pip compile --quiet --no-config --python $(LOWEST)/bin/python --resolution lowest-direct --only-binary :all: \
		--extra engine pyproject.toml -o $(LOWEST)/lowest.txt
	$(UV) pip install --quiet --no-config --python $(LOWEST)/bin/python --only-binary :all: --no-binary mvmesh \
		--constraints $(LOWEST)/lowest.txt --group dev -e '.[engine]'
	NUMBA_CACHE_DIR=$(LOWEST)/numba $(LOWEST)/bin/python -m pytest -q

$(UV):
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv

clean:  ## Remove what was built or made
	rm -rf $(VENV) $(LOWEST) $(TOOLS) out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
