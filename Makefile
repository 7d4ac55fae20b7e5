# `make sweep` and `make test` need Python >= 3.11 and a package index, nothing else; `make help` lists the rest.

SHELL := /bin/sh
VENV := .venv
# The first Python that is new enough; name another with make PYTHON=...
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LAUNCHERS := .venv-launchers
STUDY ?= default
ARGS ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no Python >= 3.11 found; install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

.PHONY: setup
setup: $(READY) ## make .venv with everything, once

.PHONY: sweep
sweep: $(READY) ## run the default study, end to end: make sweep ARGS="grid.seed=1 study=again"
	$(BIN)/python -m scaling.sweep $(ARGS)

.PHONY: plan
plan: $(READY) ## print what the study would train and cost, and train nothing
	$(BIN)/python -m scaling.sweep dry_run=true $(ARGS)

.PHONY: truth
truth: $(READY) ## a study whose answer is known: fails if its interval for the floor misses the true entropy
	$(BIN)/python -m scaling.sweep experiment=truth $(ARGS)
	$(BIN)/python -m scaling.truth experiment=truth $(ARGS)

.PHONY: example
example: $(READY) ## run an example for real and keep its report in examples/: make example NAME=adamw_or_muon
	$(BIN)/python scripts/run_example.py $(NAME)

.PHONY: test
test: $(READY) ## the fast tests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not gpu and not slurm" $(ARGS)

.PHONY: test-slow
test-slow: $(READY) ## the tests that take minutes
	$(BIN)/python -m pytest -m slow $(ARGS)

.PHONY: test-gpu
test-gpu: $(READY) ## the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu $(ARGS)

.PHONY: test-slurm
test-slurm: $(READY) ## the launcher on a real Slurm of two nodes that this machine plays, brought up and taken down
	$(BIN)/python -m pytest -m slurm tests/slurm $(ARGS)

.PHONY: test-launchers
test-launchers: ## other people's launchers (joblib, submitit, ray), in an environment of their own
	test -x $(LAUNCHERS)/bin/python || $(PYTHON) -m venv $(LAUNCHERS)
	$(LAUNCHERS)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0
	$(LAUNCHERS)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[demo,joblib,submitit,ray]' pytest
	$(LAUNCHERS)/bin/python -m pytest -m "slow or slurm" tests/launching/test_any_launcher.py tests/slurm/test_submitit.py $(ARGS)

.PHONY: chaos
chaos: $(READY) ## a study under a hundred kills at random moments: make chaos ARGS=... CHAOS_KILLS=100
	$(BIN)/python -m pytest -m slow -s tests/study/test_chaos.py $(ARGS)

.PHONY: fuzz
fuzz: $(READY) ## configs, tables and the files of a study, damaged at random, for ten minutes: make fuzz ARGS="--seed 7"
	$(BIN)/python -m tests.fuzz $(ARGS)

.PHONY: lint
lint: $(READY) ## ruff (lint and format) and mypy (strict)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: format
format: $(READY) ## let ruff format and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: docs
docs: $(READY) ## build the pages of docs/ into site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict $(ARGS)

.PHONY: dist
dist: $(READY) ## wheel and sdist in dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/python -m hatchling build -t sdist

.PHONY: tensorboard
tensorboard: $(READY) ## open the runs of a study: make tensorboard STUDY=default
	$(BIN)/tensorboard --logdir runs/$(STUDY)

.PHONY: clean
clean: ## remove what the tools leave behind; runs, caches and .venv stay
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis outputs multirun site dist
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
