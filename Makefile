# The commands of this project. CI runs `make test`, exactly as you would.
#
#   make run      build Banter and start it (ARGS="--port 8000" passes flags on to `banter serve`)
#   make test     everything below that can fail, with one summary at the end
#   make check    formatting, lints, types, and whether the generated files are up to date
#   make compatibility   run LiveKit's clients against Banter and write docs/livekit-compatibility.md
#   make bench    micro-benchmarks of the media path
#   make guard    whether a forwarded packet keeps its budget of instructions and allocations
#   make load     bots on any LiveKit-compatible server (ARGS="--url ws://127.0.0.1:7880 --subscribers 100"; ARGS=--help)
#   make bench-load   what a release build carries: rooms of several shapes under those bots
#   make bench-turn   what TURN costs beside coturn
#   make fuzz     one minute for each decoder and core (FUZZ_SECONDS=3600 for longer); needs `cargo install --locked cargo-fuzz`

ui := desktop/ui
pytest := .venv/bin/python -m pytest
# Each SDK stays with one worker. Most of the time goes into waiting, but more browsers at once are too much for two cores.
conformance_workers := -n 2 --dist loadgroup
python_sources := tests server/tests/conformance sfu/tests/conversations benches/shapes.py benches/turn.py
FUZZ_SECONDS ?= 60

.PHONY: run test check bench guard bench-turn bench-load load fuzz generate
.PHONY: setup-run setup-test check-rust check-ui check-tests check-generated test-rust test-ui test-sdk test-browser
.PHONY: test-conformance compatibility

run: setup-run
	cargo run --release --bin banter -- serve $(ARGS)

test: setup-test
	scripts/run-tests.sh check test-rust guard test-ui test-sdk test-browser test-conformance

check: check-rust check-ui check-tests check-generated

bench:
	cargo bench --package banter-bench-micro

guard:
	cargo bench --quiet --package banter-bench-micro --bench instructions -- guard

load:
	cargo run --release --package banter-bench-load -- $(ARGS)

bench-load: setup-test
	cargo build --release --bin banter --bin banter-load
	BANTER_PROGRAM=target/release/banter .venv/bin/python benches/shapes.py $(ARGS)

bench-turn: setup-test
	cargo build --release --bin banter
	BANTER_PROGRAM=target/release/banter .venv/bin/python benches/turn.py

# What is found along the way is kept in fuzz/corpus, outside git; a crash worth keeping goes to fuzz/seeds.
fuzz:
	for target in $$(cargo fuzz list); do \
	  mkdir -p fuzz/corpus/$$target && \
	  RUSTC_BOOTSTRAP=1 cargo fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

# Rewrites the files that are made from others: the OpenAPI document and the web app's types for it.
generate:
	cargo run --quiet --bin banter -- openapi > openapi.json.new
	mv openapi.json.new openapi.json
	cd $(ui) && npm run --silent generate

# Runs LiveKit's clients and writes down what they can do: docs/livekit-compatibility.md.
compatibility: setup-test
	cargo build --bin banter
	$(pytest) server/tests/conformance $(conformance_workers)
	.venv/bin/python server/tests/conformance/table.py

# --- parts ---

setup-run:
	scripts/setup.sh run

setup-test:
	scripts/setup.sh test

check-rust:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- --deny warnings

check-ui:
	cd $(ui) && npm run --silent check

check-tests:
	cd tests && ../$(ui)/node_modules/.bin/biome check --error-on-warnings .
	.venv/bin/ruff check $(python_sources)
	.venv/bin/ruff format --check $(python_sources)

check-generated: generate
	git diff --exit-code -- openapi.json $(ui)/src/api

test-rust:
	cargo test --workspace --all-features

test-ui:
	cd $(ui) && npm run --silent test

test-sdk:
	cargo build --bin banter --bin banter-load
	$(pytest) tests/sdk

test-browser:
	cargo build --bin banter
	node --test --test-concurrency=1 --test-reporter=spec tests/browser/

test-conformance:
	cargo build --bin banter
	$(pytest) server/tests/conformance $(conformance_workers)
	.venv/bin/python server/tests/conformance/table.py --check
