# rarecxr: set-up, demo and tests, each from nothing but Python 3.11 to 3.13 and make.
PYTHON ?= python3
CORES ?= all
VENV := .venv
BIN := $(VENV)/bin
# The installer, pinned like everything else; it is far quicker than pip with a lock file this long.
UV := uv==0.13.9

.PHONY: demo test test-slurm setup

demo: setup
	$(BIN)/snakemake --cores $(CORES)

test: setup
	$(BIN)/pytest -rs --dist loadfile -n $(shell nproc 2>/dev/null || echo 2)

# The tests on a real SLURM of one node, which `test` leaves out where SLURM is not installed: installs
# Debian's packages, so as root.
test-slurm: setup
	$(PYTHON) tests/slurm/cluster.py install
	$(BIN)/pytest -rs tests/slurm

setup: $(VENV)/.complete

# The stamp is written last, so that an interrupted set-up starts over.
$(VENV)/.complete: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else "rarecxr needs Python 3.11 to 3.13, this is " + sys.version.split()[0] + ": make PYTHON=/path/to/python3.12")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet "$(UV)"
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	touch $@
