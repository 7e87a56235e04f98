# Leno: `make demo` shows it, `make test` proves it. Everything here is also what CI runs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
FUZZ_SECONDS ?= 60
FUZZ ?=
# More for `make bench`, such as --rounds 1 --only "32 connections".
BENCH ?=

.PHONY: help
help: ## What can be made
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{ line = sprintf("  make %-18s", $$1); n = split($$2, word, " "); \
	  for (i = 1; i <= n; i++) { if (length(line) + length(word[i]) > 79) { print line; line = sprintf("%25s", "") } line = line " " word[i] } \
	  print line }'

.PHONY: tools
tools: ## Install what the tests need (says what)
	@scripts/need.sh test

.PHONY: build
build: dashboard ## The release programs, in target/release
	@scripts/need.sh build
	@scripts/release.sh

.PHONY: dashboard
dashboard: ## The dashboard's files, in dashboard/dist, from where leno-viz takes them
	@scripts/need.sh dashboard
	@scripts/dashboard.sh build

.PHONY: demo
demo: dashboard ## The sample shop with sidecars, STRICT mTLS, a canary in motion, and a live table
	@scripts/need.sh run
	@scripts/release.sh
	@PATH="$(CURDIR)/target/release:$$PATH" target/release/leno demo

.PHONY: check
check: dashboard ## Format, lints, licences, docs, layers, links
	@scripts/need.sh check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo fetch --locked --quiet
	cargo deny --offline check bans licenses sources
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items --locked --quiet
	$(MAKE) --no-print-directory gen && git diff --exit-code --stat -- docs/honoured.md docs/codes.md
	cargo xtask layers
	@scripts/dashboard.sh check
	cargo xtask links

.PHONY: gen
gen: ## Make the generated files anew
	cargo run --quiet --locked -p leno-config --example honoured > docs/honoured.md
	cargo run --quiet --locked -p leno-analyze --example codes > docs/codes.md

.PHONY: unit
unit: dashboard ## Unit, golden and in-process tests
	@scripts/need.sh test
	cargo test --workspace --exclude leno-e2e --exclude leno-e2e-cluster --locked --no-fail-fast
	@scripts/dashboard.sh test

.PHONY: e2e
e2e: build ## Whole meshes on this machine, one after the other
	@scripts/need.sh test
	@scripts/e2e.sh

.PHONY: images
images: build ## Container images of the release programs, as archives in target/images (buildah, podman or docker)
	@scripts/need.sh images
	@images/build.sh

.PHONY: cluster
cluster: ## A real Kubernetes of one node on this machine (as root); the first time it is built from source
	@cluster/up.sh

.PHONY: cluster-down
cluster-down: ## End it and remove all it left
	@cluster/down.sh

.PHONY: conformance
conformance: images ## The official Gateway API conformance suite, its mesh profiles, on a real Kubernetes
	@scripts/need.sh cluster
	@scripts/e2e-cluster.sh conformance

.PHONY: e2e-cluster
e2e-cluster: images ## The scenes on Kubernetes: on the cluster that KUBECONFIG names, else on that of `make cluster`
	@scripts/need.sh test
	@scripts/e2e-cluster.sh

.PHONY: test
test: check unit e2e e2e-cluster ## Everything
	@echo "all tests passed"

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZ_SECONDS (60); FUZZ='http1 http2' for some of them
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz.sh $(FUZZ)

.PHONY: bench
bench: build ## What a request costs, beside nginx, HAProxy and Envoy in one run (as root, 20 minutes after the build)
	@scripts/need.sh bench
	cargo build --profile quick --locked -p leno-bench
	@LENO_ENVOY="$${LENO_CACHE:-$$HOME/.cache/leno}/bin/envoy" LENO_FORTIO="$${LENO_CACHE:-$$HOME/.cache/leno}/bin/fortio" target/quick/leno-bench full $(BENCH)

.PHONY: bench-quick
bench-quick: ## What a request costs, beside HAProxy in the same minute (as root, under 3 minutes after the build); QUICK='--only h2c' for a part
	@scripts/need.sh bench
	cargo build --profile quick --locked -p leno-bench
	target/quick/leno-bench quick $(QUICK)

.PHONY: bench-instructions
bench-instructions: ## Instructions of a request in each sidecar, by valgrind: what a small change brings shows on a busy machine too
	@scripts/need.sh bench-instructions
	cargo build --profile quick --locked -p leno-bench
	target/quick/leno-bench instructions

.PHONY: bench-micro
bench-micro: ## What the hot parts cost one by one, with their allocations: codecs, decisions, a request's record; MICRO=hpack for a part
	@scripts/need.sh build
	cargo bench --profile quick --locked -p leno-http --bench codecs -p leno-core --bench decisions -p leno-proxy --bench telemetry -- $(MICRO)

.PHONY: pgo
pgo: build ## Make the profile anew that the released leno-proxy is compiled by (as root, 8 minutes after the build)
	@scripts/pgo.sh

.PHONY: bench-control
bench-control: ## What a change costs the control plane and when it is everywhere; CONTROL=--quick for 5 minutes (after the build)
	@scripts/need.sh bench-control
	cargo build --profile quick --locked -p leno-control -p leno-bench
	@target/quick/leno-bench control $(CONTROL)

.PHONY: memory
memory: build ## Print what a sidecar holds in memory, with 10 and with 2,000 services
	cargo test -p leno-e2e --locked --test memory -- --nocapture

.PHONY: viz-memory
viz-memory: ## Fill the live window with 1,000 workloads and 5,000 edges and print what leno-viz holds
	cargo run --profile quick --locked -p leno-viz --example memory

.PHONY: viz-cost
viz-cost: build ## Print what leno-viz and tap cost a sidecar at 1,000 requests a second
	@scripts/need.sh test
	cargo test -p leno-e2e --locked --test vizcost -- --ignored --nocapture
