# Bindy: what a person types. `make` alone lists it.

LISTEN ?= 127.0.0.1:5300
STORY  ?= quickstart
CARGO  ?= cargo
TARGET = $(or $(CARGO_TARGET_DIR),target)

.PHONY: help build run dev-cluster soak test test-cluster test-clients bench bench-operator fmt lint tools
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

run: build ## build Bindy and serve examples/STORY (quickstart) on LISTEN (127.0.0.1:5300)
	@exec $(TARGET)/release/bindy serve --listen $(LISTEN) examples/$(STORY)

build:
	@$(CARGO) build --release --locked -p bindy

bench: tools ## micro benches, then side by side with BIND, Knot, NSD and PowerDNS (about 15 minutes)
	scripts/bench

bench-operator: tools ## the operator on a cluster of this machine, with ten thousand records (about 10 minutes)
	$(CARGO) run --release --locked -p bindy --example numbers

fmt: ## format the sources
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml

lint: ## format check and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

tools: ## install the programs that tests and benches use, where missing
	@scripts/install-test-tools

soak: tools ## kills the server, and the operator, a thousand times in the midst of updates, and at each step of a fold; takes the API server away for two minutes; replaces a key a hundred times
	BINDY_KILLS=1000 $(CARGO) test --profile checked --locked -p bindy-server --test bindyd -- crash
	BINDY_KILLS=1000 $(CARGO) test --profile checked --locked -p bindy --test cluster -- updates::whoever_leads
	BINDY_EACH_STEP=1 $(CARGO) test --profile checked --locked -p bindy --test cluster -- updates::folds
	BINDY_API_AWAY=120 $(CARGO) test --profile checked --locked -p bindy --test cluster -- chaos
	BINDY_REFRESH=90 BINDY_ROTATIONS=100 BINDY_QUERIES=5000 $(CARGO) test --profile checked --locked -p bindy --test cluster -- rotation --test-threads=1

test-clients: tools ## ExternalDNS, cert-manager and others against the server as against BIND (some minutes, needs Go)
	scripts/test-clients --go

dev-cluster: tools ## a Kubernetes cluster on this machine to play with, until Ctrl-C
	@echo 'Building; the first time takes some minutes.'
	@$(CARGO) run --quiet --profile checked --locked -p bindy-cluster --example dev-cluster

# KUBECONFIG of the environment is not meant: it may be the cluster of a company. Where it is given, nothing is installed
# but the definitions.
# The tests on such a cluster run no Pods, and those that need some are left out. Its Nodes must take none (`kubectl cordon`),
# and no other Bindy may look after it.
test-cluster: tools ## the tests of Kubernetes alone; with KUBECONFIG=FILE, on that cluster, which gets this tree's CRDs
	TEST_KUBECONFIG=$(if $(filter command,$(origin KUBECONFIG)),$(abspath $(KUBECONFIG))) \
	$(CARGO) test --profile checked --locked -p bindy-cluster -p bindy --test cluster \
	$(if $(filter command,$(origin KUBECONFIG)),-- $(foreach tests,chaos deploy rollout running scenarios stories,--skip $(tests)::),-p bindy-kubelet --test pods)

test: ## everything that CI checks; installs what it uses and this machine lacks
	@scripts/test
