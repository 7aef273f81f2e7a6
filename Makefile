# Each target installs or checks what it needs and says what is missing. `make help` lists them.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PYTEST := $(BIN)/python -X faulthandler -m pytest
ARGS   ?=
# All tiers side by side; what ARGS names, in one run.
TESTS  := $(if $(ARGS),$(PYTEST),$(BIN)/python -m tests.lanes)
MINUTES ?= 30
PREFIX ?= /usr/local
DESTDIR ?=

.DEFAULT_GOAL := help
.PHONY: help run test test-full newcomer faults check fmt bench soak golden web screenshots install deb clean packages-run packages-test

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: packages-run $(VENV)/.installed web ## Build what is missing, serve, start a desktop, print its URL
	$(BIN)/fenster build
	$(BIN)/fenster serve --open-session $(ARGS)

golden: packages-run $(VENV)/.installed ## Build the golden image and its snapshot (both cached)
	$(BIN)/fenster build $(if $(filter golden,$(MAKECMDGOALS)),$(ARGS))

web: $(VENV)/.installed gateway/static/.built ## Build the web client into gateway/static, and @fenster/client

screenshots: packages-test $(VENV)/.dev web ## Make the pictures in web/screenshots anew, from a desktop without a VM
	FENSTER_SCREENSHOTS=$(CURDIR)/web/screenshots $(PYTEST) -q tests/page/test_states.py $(ARGS)

test: packages-test $(VENV)/.dev web golden ## Unit, contract, loopback, x11, vm and e2e tests
	cd web && $(CURDIR)/web/npm.sh test
	$(TESTS) -m "not slow" --durations=10 $(ARGS)

test-full: packages-test $(VENV)/.dev web golden ## Everything, the long ones too
	cd web && $(CURDIR)/web/npm.sh test
	FENSTER_ROUNDS=3 $(TESTS) --durations=10 $(ARGS)

newcomer: packages-test $(VENV)/.dev ## Try the README's commands on a fresh Debian 13, in a container without caches
	$(PYTEST) -s -o faulthandler_timeout=0 tests/newcomer $(ARGS)

faults: packages-test $(VENV)/.dev golden ## Kill and hang every part under a viewer; print what each cost (FENSTER_TEST_FAULT_REPORT=1 keeps it)
	FENSTER_TEST_FAULT_TIMES=1 $(PYTEST) -s -q tests/faults $(ARGS)

check: $(VENV)/.dev web/node_modules/.installed ## Lint and types: ruff, mypy strict, tsc, eslint, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=guest-agent $(BIN)/python -m guest_agent.protocol.codegen --check
	$(PYTEST) -q tests/contract/test_layers.py
	cd web && $(CURDIR)/web/npm.sh run check

fmt: $(VENV)/.dev ## Format the Python code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: packages-test $(VENV)/.dev web ## Print the benchmarks: parts, then press to photon beside the others (figures and ratios)
	for bench in tests/bench/bench_*.py; do PYTHONPATH=.:guest-agent $(BIN)/python $$bench || exit 1; done
	PYTHONPATH=.:guest-agent $(BIN)/python -m tests.bench.photon $(ARGS)

soak: packages-test $(VENV)/.dev web golden ## Use three desktops for MINUTES (30) and judge gaps, memory, descriptors, creates
	PYTHONPATH=.:guest-agent $(BIN)/python -m tests.soak --minutes $(MINUTES) --keep deploy/reports $(ARGS)

install: packages-run $(VENV)/.installed web ## Install below PREFIX (/usr/local) with systemd units; DESTDIR only stages
	PYTHON=$(CURDIR)/$(BIN)/python deploy/stage.sh "$(DESTDIR)" "$(PREFIX)" "$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
	[ -n "$(DESTDIR)" ] || PYTHON=$(PYTHON) $(PREFIX)/lib/fenster/setup
	[ -n "$(DESTDIR)" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload

deb: $(VENV)/.installed web ## Build the Debian package, in build/
	PYTHON=$(CURDIR)/$(BIN)/python deploy/deb.sh build

clean: ## Remove what make made here (golden images stay in the user's cache)
	rm -rf $(VENV) gateway/static web/node_modules web/packages/client/dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

packages-run:
	@deploy/host-packages.sh python run build

packages-test:
	@deploy/host-packages.sh python run build test

$(VENV)/bin/python:
	@deploy/host-packages.sh python
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install -q -e .
	@touch $@

# The tests run real aiortc pairs, so the agent's packages belong to the development set.
$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install -q -e '.[agent,dev]'
	@touch $@

web/node_modules/.installed: web/package.json web/package-lock.json $(VENV)/.installed
	cd web && $(CURDIR)/web/npm.sh ci --no-audit --no-fund
	@touch $@

gateway/static/.built: web/node_modules/.installed $(shell find web \( -path web/node_modules -o -path web/packages/client/dist \) -prune -o -type f -print 2>/dev/null)
	cd web && $(CURDIR)/web/npm.sh run build
	@touch $@
