# What a fresh checkout can do with Python >= 3.11 and make alone: no root, no Docker.
# FARM_VENV=/elsewhere puts the virtual environment there.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The tests start some hundreds of processes, each of which would compile the farm anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := $(or $(FARM_VENV),.venv)
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ENGINES := $(VENV)/.engines-ready
GRAMMARS := $(VENV)/.grammars-ready
WEIGHTS := $(VENV)/kokoro
EAR := $(VENV)/ear
# The first that is new enough; an environment that is there already keeps its own.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(READY) ## narrate the example texts on an embedded farm (./data), save to ./out; MODEL=kokoro for a natural voice
	@$(if $(filter-out espeak,$(MODEL)),$(BIN)/python -m worker fetch $(MODEL))
	@$(BIN)/python examples/demo.py $(if $(MODEL),--model $(MODEL))

.PHONY: up
up: $(READY) ## run the embedded farm until Ctrl-C, data in ./data
	@exec $(BIN)/farm up

# The tests stand in three tiers, by folder; CONTRIBUTING.md says which tests run when. Tests that ARGS names by a path run
# alone, of whatever tier, and in one process; PROCESSES=1 does that for a tier. The quick tests have three, because a
# third of their time is waiting; tests/order.py orders their files, which xdist would order by how many tests they have.
NAMED := $(filter tests/%,$(ARGS))
pytest = $(BIN)/pytest -n $(or $(PROCESSES),$(if $(NAMED),0,$(1)))

.PHONY: test
test: $(READY) ## the quick tests, without torch and Docker; some of any tier: make test ARGS="tests/store -k lease"
	@$(call pytest,3) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: test-model
test-model: $(if $(NAMED),$(ENGINES),types-model $(GRAMMARS)) ## the tests and the types of the IndexTTS engine (2 GB, a C++ compiler)
	@$(call pytest,2) --dist loadfile --no-loadscope-reorder $(if $(NAMED),,tests/indextts) $(ARGS)

# The weights lie beside the environment, so that a clean one fetches them again: the way to them is tested as well.
.PHONY: test-voice
test-voice: export FARM_KOKORO_DIR = $(abspath $(WEIGHTS))
test-voice: export FARM_EAR_DIR = $(abspath $(EAR))
test-voice: $(READY) ## the kokoro engine and the ear with their real weights (121 and 148 MB, fetched once)
	@$(BIN)/python -m worker fetch kokoro
	@$(BIN)/python -m worker fetch ear
	@$(BIN)/pytest $(if $(NAMED),,tests/kokoro) $(ARGS)

SUDO := $(if $(filter-out 0,$(shell id -u)),sudo -n)

# Three processes, because these tests mostly wait. The long form has one: its table of seconds is published.
.PHONY: test-faults
test-faults: $(READY) ## break a farm of real processes in some thirty ways; measures seconds, so leave the machine alone
	@$(call pytest,$(if $(FAULTS),0,3)) --dist loadfile --no-loadscope-reorder $(if $(NAMED),,tests/chaos) $(ARGS)

.PHONY: test-browser
test-browser: $(READY) ## the dashboard in Debian's Chromium, and epubcheck; installed where apt can, as are npm and Java; one process
	@missing="$$([ -x $(or $(FARM_TEST_CHROMIUM),/usr/bin/chromium) ] || echo chromium) $$(command -v npm >/dev/null || echo npm)"; \
		missing="$$missing $$(command -v java >/dev/null || echo default-jre-headless)"; \
		[ -z "$${missing// /}" ] || ! command -v apt-get >/dev/null || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $$missing; } >/dev/null || true
	@$(BIN)/pytest $(if $(NAMED),,tests/browser) $(ARGS)

.PHONY: test-contract
test-contract: $(READY) ## the API against its OpenAPI document, with thousands of requests made up from it; secrets and logs
	@$(BIN)/pytest $(if $(NAMED),,tests/contract) $(ARGS)

.PHONY: test-all
test-all: ## the six above, one after another
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory test-model
	@$(MAKE) --no-print-directory test-voice
	@$(MAKE) --no-print-directory test-faults
	@$(MAKE) --no-print-directory test-browser
	@$(MAKE) --no-print-directory test-contract

.PHONY: nightly
nightly: ## the long forms: long walks, full faults, sampled decoding, a soak of 30 minutes, containers
	@NIGHTLY=1 WALK_STEPS=50000 WALK_SEED=$$(date +%Y%m%d) MACHINE_EXAMPLES=1000 $(MAKE) --no-print-directory check
	@MODEL=full $(MAKE) --no-print-directory test-model
	@FAULTS=full $(MAKE) --no-print-directory test-faults
	@CONTRACT=full $(MAKE) --no-print-directory test-contract
	@$(MAKE) --no-print-directory soak MINUTES=30
	@if why=$$($(BIN)/python -m tests.containers.docker); then $(MAKE) --no-print-directory e2e; \
		else echo "NOT RUN: make e2e: $$why" >&2; fi

.PHONY: soak
soak: $(READY) ## random users, random faults, and the tally: make soak MINUTES=30 SEED=7
	@$(BIN)/python -m tests.chaos.soak --minutes $(or $(MINUTES),3) $(if $(SEED),--seed $(SEED))

.PHONY: lint
lint: $(READY) ## style of the code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: format
format: $(READY) ## bring the code into the style that lint asks for
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

# What imports torch: the model tier checks its types as well.
WITH_TORCH := worker/engines/indextts|benchmarks/(first_gpu|acoustic_counts|counting|engine|engine_memory|original|stage_by_stage)

.PHONY: types
types: $(READY) ## types, strictly, of all that needs no torch
	@$(BIN)/mypy --exclude '$(WITH_TORCH)'
	@$(BIN)/mypy examples/engine/tts_farm_tones.py

.PHONY: types-model
types-model: $(ENGINES) ## types, strictly, of everything
	@$(BIN)/mypy

.PHONY: imports
imports: $(READY) ## who may import whom
	@$(BIN)/lint-imports

# Advisories change while the code does not, so that this is no part of `check`. Without a network there are none to read.
.PHONY: audit
audit: $(READY) ## known weaknesses of the packages at their pins, where the list of advisories can be reached
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip-audit
	@$(BIN)/python -m tests.audit $(ARGS)

.PHONY: check
check: lint types imports test ## all of these: what every change must pass

.PHONY: e2e
e2e: $(READY) ## build the images, run the compose farm and break it (root and Debian, or an engine with the base image)
	@why=$$($(BIN)/python -m tests.containers.docker) || { echo "$$why" >&2; exit 1; }
	@$(BIN)/pytest tests/containers/e2e.py --timeout 900 $(ARGS)

.PHONY: bench-build
bench-build: $(READY) ## what a change costs when images are built; needs what e2e needs
	@$(BIN)/python -m benchmarks.build $(ARGS)

.PHONY: setup
setup: $(READY) ## only the virtual environment

.PHONY: clean
clean: ## remove the virtual environment and caches; ./data and ./out stay
	@for made in $(VENV) $(VENV)-model; do [ ! -f $$made/pyvenv.cfg ] || rm -rf $$made; done
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist *.egg-info
	@find . -name __pycache__ -type d -not -path './data/*' -prune -exec rm -rf {} +

# Rebuilt only when what it is made from changes. pip's own output is kept for when it fails.
$(READY): pyproject.toml constraints.txt
	@if [ ! -x $(BIN)/pip ]; then \
		if [ -z "$(PYTHON)" ]; then \
			echo "TTS Farm needs Python 3.11 or newer; what is here: $$(python3 --version 2>&1 || true)." \
				"Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; \
		fi; \
		echo "Making $(VENV) with $$($(PYTHON) --version) ..."; \
		$(PYTHON) -m venv $(VENV); \
	fi
	@echo "Installing what the farm needs into $(VENV) (a minute or two, once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# IndexTTS for its tests, on the CPU: 2 GB, which everything else does without. The published torchaudio is linked against CUDA; what
# IndexTTS uses of it is plain Python, so that it works with any torch once its libraries are gone.
PINS := -c constraints.txt -c tests/indextts/constraints.txt
$(ENGINES): $(READY) tests/indextts/constraints.txt
	@echo "Installing IndexTTS for its tests into $(VENV) (some minutes, once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINS) torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINS) --no-deps torchaudio
	@rm -f $(VENV)/lib/python*/site-packages/torchaudio/lib/*.so
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINS) -e '.[dev,indextts]'
	@touch $@

$(GRAMMARS): $(ENGINES)
	@echo "Building the grammars of IndexTTS, which put numbers into words (a minute or two, once) ..."
	@$(BIN)/python -m tests.indextts.grammars
	@touch $@
