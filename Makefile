SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help run model check test bench image-steps backends-up backends-down

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Serve on this machine, embedded, in release mode.
	cargo run --release -- serve

model: ## Fetch the sentence model (90 MB) into models/all-MiniLM-L6-v2, verified.
	deploy/model/fetch models/all-MiniLM-L6-v2

check: ## Format, lints and documentation, warnings denied.
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --document-private-items --locked

test: model ## The whole suite, against real servers that are started for it and stopped after it.
	@trap 'deploy/local/backends down' EXIT; \
	set -e; \
	deploy/local/tools & tools=$$!; \
	deploy/local/backends up; \
	cargo test --locked --no-run; \
	wait $$tools; \
	servers=$$(deploy/local/backends env); \
	eval "$$servers"; \
	export URLSHORT_TEST_REQUIRED=1; \
	export URLSHORT_TEST_MODEL="$$PWD/models/all-MiniLM-L6-v2"; \
	cargo test --locked

bench: ## Measure the redirect path of the release build.
	cargo build --release --locked
	cargo bench --bench redirect

image-steps: ## Run the build steps of the image natively, and the result in an empty root.
	cargo test --locked --test deploy -- --ignored --nocapture the_build_steps_of_the_image

backends-up: ## Start PostgreSQL, Redis, Redis Cluster and Kafka for the tests.
	deploy/local/backends up

backends-down: ## Stop what backends-up started and remove its data.
	deploy/local/backends down
