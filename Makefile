# gridpact: `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.ready-run
DEV := $(VENV)/.ready-dev
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
ARGS ?=
SEEDS ?= 2000
EXAMPLES ?= 2000
SEED ?= 1
COUNT ?= 100
TX ?= 1000000
.DEFAULT_GOAL := help
.PHONY: help devnet soak soak-kill soak-chain operations fuzz fuzz-rpc sim sim-mutants test test-long test-kill test-tools test-tamper test-web3 check conformance format lint types imports anonymity bench bench-privacy bench-private-window bench-worst-case bench-catchup bench-logs bench-subscribers bench-rpc bench-scale lock contracts clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(RUN): requirements.lock pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): requirements-dev.lock $(RUN)
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

devnet: $(RUN) ## set up and let four households trade for a day (ARGS=--exit ends after the report)
	$(BIN)/gridpact devnet up $(ARGS)

test: $(DEV) ## set up and run the tests (no network, under ten minutes)
	$(BIN)/pytest -n 2 $(ARGS)

test-long: $(DEV) ## the tests in their long forms, contracts on py-evm's own opcode loop
	GRIDPACT_LONG=1 $(BIN)/pytest -n 2 $(ARGS)

test-kill: $(DEV) ## kill -9 of validators and agents during the day, then of all four at once
	$(BIN)/pytest -m kill $(ARGS)

test-tools: $(DEV) ## ethers, viem, web3.py, Foundry, Hardhat and Caliper against four validators (needs node and npm)
	$(BIN)/pytest -n0 -m tools $(ARGS)

test-tamper: $(DEV) ## flip a byte of every kind of stored value: the audit names it
	$(BIN)/pytest -m tamper $(ARGS)

test-web3: $(DEV) ## a web3.py script with default settings against four validators
	$(BIN)/pytest -m web3 $(ARGS)

sim: $(DEV) ## hunt for violations: SEEDS=2000 runs of the simulator over all cores
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

conformance: $(DEV) ## all of Ethereum's state tests by both opcode loops and traced, about an hour (ARGS=--only=NAME)
	$(BIN)/python -m tests.conformance $(ARGS)

sim-mutants: $(DEV) ## plant faults in copies of the code: the simulator must kill every one (ARGS=NAME for one)
	$(BIN)/python -m tests.simulation.mutants $(ARGS)

check: format lint types imports test ## everything that must be green

format: $(DEV) ## formatting, checked
	$(BIN)/ruff format --check .

lint: $(DEV) ## ruff
	$(BIN)/ruff check .

types: $(DEV) ## mypy --strict
	$(BIN)/mypy

imports: $(DEV) ## the layers, by import-linter
	$(BIN)/lint-imports

soak: $(RUN) ## ten minutes of real faults on four and on seven validators under load (ARGS=--duration-s=60)
	$(BIN)/gridpact devnet perturb soak-4 $(ARGS)
	$(BIN)/gridpact devnet perturb soak-7 $(ARGS)

soak-kill: $(DEV) ## kill -9 of one, two or all four validators under full load, COUNT=100 times
	$(BIN)/python -m benchmarks.soak.kill --count $(COUNT) $(ARGS)

soak-chain: $(DEV) ## TX=1000000 transfers on one chain: speed, memory and disk as it grows (ARGS=--keep)
	$(BIN)/python -m benchmarks.soak.chain --transfers $(TX) $(ARGS)

operations: $(DEV) ## run the commands of docs/operations.md (ARGS=--rewrite renews what they print)
	$(BIN)/python -m tests.devnet.operations $(ARGS)

fuzz: $(DEV) requirements-fuzz.lock ## let atheris attack every decoder (ARGS=-max_total_time=60 is the time for each)
	$(PIP) install --require-hashes -r requirements-fuzz.lock
	$(BIN)/python -m tests.fuzz.all $(or $(ARGS),-max_total_time=20)

fuzz-rpc: $(DEV) ## let hypothesis attack every method of the RPC, EXAMPLES=2000 rounds from SEED=1
	GRIDPACT_FUZZ_EXAMPLES=$(EXAMPLES) GRIDPACT_FUZZ_SEED=$(SEED) $(BIN)/pytest -n 0 tests/rpc/test_bad_input.py $(ARGS)

bench: $(DEV) requirements-bench.lock ## measure P1 to P4 and P8 to P10 (ARGS="committed --no-peers" for one of them, ARGS=--keep)
	$(PIP) install --require-hashes -r requirements-bench.lock
	$(BIN)/python -m benchmarks $(ARGS)

bench-scale: $(DEV) ## simulate 4 to 100 validators on lines of 1 Mbit/s (ARGS=--update writes docs/scale.md)
	$(BIN)/python -m benchmarks.scale $(ARGS)

anonymity: $(DEV) ## how often attackers name the seller of a private trade, 1,000 windows of real data
	$(BIN)/python -m benchmarks.anonymity $(ARGS)

bench-private-window: $(DEV) ## a private window of 41 members on four validators, from offers to payments (ARGS=--keep)
	$(BIN)/python -m benchmarks.private_window $(ARGS)

bench-privacy: $(DEV) ## what checking the proofs of a private window costs, rings of 16, 41, 64 (ARGS=--keep)
	$(BIN)/python -m benchmarks.privacy $(ARGS)

bench-worst-case: $(DEV) ## fill a block with every opcode and precompile in its worst form; the gas limit that follows
	$(BIN)/python -m benchmarks.worst_case $(ARGS)

bench-logs: $(DEV) ## eth_getLogs over 100,000 heights: sparse, dense, no match
	$(BIN)/python -m benchmarks.logs $(ARGS)

bench-subscribers: $(DEV) ## what a thousand WebSocket subscribers cost a node with every head
	$(BIN)/python -m benchmarks.subscribers $(ARGS)

bench-rpc: $(DEV) ## consensus latency with 1,000 subscribers and 200 reads/s at one validator over that without (ARGS=--hostile: bad clients)
	$(BIN)/python -m benchmarks.rpc $(ARGS)

bench-catchup: $(DEV) ## measure how fast a validator 10,000 heights behind is back, under load
	$(BIN)/python -m benchmarks.catchup $(ARGS)

contracts: ## recompile the Solidity sources (needs node and npm)
	cd contracts && npm ci --no-audit --no-fund && node compile.mjs

lock: $(DEV) ## renew the lock files (hashes only, no index named)
	$(BIN)/pip-compile -q --strip-extras --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links --no-header --upgrade pyproject.toml requirements.in -o requirements.lock
	$(BIN)/pip-compile -q --strip-extras --extra dev --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links --no-header --upgrade -c requirements.lock pyproject.toml requirements.in -o requirements-dev.lock

clean: ## remove the environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build
