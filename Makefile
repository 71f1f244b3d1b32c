# rarecxr: set-up, demo and tests, each from nothing but Python 3.11 to 3.13 and make.
PYTHON ?= python3
CORES ?= all
VENV := .venv
BIN := $(VENV)/bin
# DEVICE=cpu sets up PyTorch without CUDA (for Linux with TORCH_INDEX, see the README); WHEELS=FOLDER
# sets up without internet from what `make wheels` fetched.
SET_UP = $(PYTHON) envs/set_up.py --venv $(VENV) $(if $(DEVICE),--device $(DEVICE)) \
    $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX)) $(if $(WHEELS),--wheels $(WHEELS))

.PHONY: audit benchmark-pggan check cost demo doctor pool progress test test-faults test-long test-offline test-slurm setup wheels

demo: setup
	$(BIN)/snakemake --cores $(CORES)

# What this machine and a study's data lack: make doctor CONFIG=config/chexpert.yaml
doctor: setup
	@$(BIN)/python workflow/scripts/doctor.py $(if $(CONFIG),--configfile $(CONFIG))

# What a study will cost, learned from a smaller one that has run (docs/performance.md):
# make cost CONFIG=config/chexpert.yaml FROM=results/demo
cost: setup
	@$(BIN)/python workflow/scripts/cost.py --from $(FROM) $(if $(CONFIG),--configfile $(CONFIG)) $(COUNTS)

# Studies of several folds as one (docs/statistics.md): make pool FROM="results/a results/b" [OUTPUT=FILE]
pool: setup
	@$(BIN)/python workflow/scripts/pool_folds.py $(FROM) $(if $(OUTPUT),--output $(OUTPUT))

# How far a study is, while it runs or afterwards: make progress CONFIG=config/chexpert.yaml
progress:
	@$(BIN)/python workflow/scripts/progress.py $(if $(CONFIG),--configfile $(CONFIG))

# In the order of pyproject.toml: what takes longest begins first.
test: setup
	$(BIN)/pytest -rs --dist loadfile --no-loadscope-reorder -m "not long" \
	    -n $(shell nproc 2>/dev/null || echo 2)

# What `test` leaves out: further whole studies, interruptions on SLURM, simulations of the statistics.
test-long: setup
	$(BIN)/pytest -rs --dist loadfile -m long -n $(shell nproc 2>/dev/null || echo 2)

# Faults in every stage of a tiny study: kills, full disks, damaged files and more, in hours. An
# interrupted run goes on where it was; docs/reliability.md is made from its record.
test-faults: setup
	$(BIN)/pytest -rs -m long tests/faults
	$(BIN)/python docs/make_reliability.py

# The tests on a real SLURM of one node, which `test` leaves out where SLURM is not installed: installs
# Debian's packages, so as root.
test-slurm: setup
	$(PYTHON) tests/slurm/cluster.py install
	$(BIN)/pytest -rs tests/slurm

# Whether a study's folder is what its manifest lists: make check STUDY=results/demo
check:
	$(PYTHON) workflow/scripts/check_study.py $(STUDY)

# Whether a step of the PGGAN lost more than 15 % of its speed, in minutes: status 1 if it did, 2 where
# this processor's kind has no reference yet (docs/performance.md). For nightly runs, not a test.
benchmark-pggan: setup
	$(BIN)/python benchmarks/pggan_regression.py

# Security: a static check of the code, and known vulnerabilities of the locked packages.
audit: setup
	$(BIN)/ruff check --select S envs workflow
	bash tests/audit.sh

# Does nothing where .venv is up to date.
setup:
	@$(SET_UP)

# Every package, for a machine without internet with the same system and the same Python.
wheels:
	$(PYTHON) envs/set_up.py --download $(or $(WHEELS),wheels)

# The recipe of envs/README.md for such a machine, where no address can be reached (Linux, as root).
test-offline:
	PYTHON=$(PYTHON) bash tests/offline.sh
