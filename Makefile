# promgate. `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.version=$(VERSION)
GO      := go
# The race detector needs a C compiler.
RACE    := $(shell command -v $${CC:-cc} >/dev/null 2>&1 && echo -race)
FUZZTIME ?= 30s
BENCHTIME ?= 1s
LOADTIME ?= 15s

# The real servers that tests talk to.
export PROMGATE_CONTROLPLANE := $(CURDIR)/bin/controlplane
export PROMGATE_PROMETHEUS   := $(CURDIR)/bin/prometheus
export PROMGATE_PROMTOOL     := $(CURDIR)/bin/promtool
export PROMGATE_KUBECTL      := $(CURDIR)/bin/kubectl

.PHONY: help
help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The page is built where there is Node; without it the program says how.
WEB_SOURCES := $(shell find web/src web/public web/index.html web/vite.config.ts web/tsconfig.json web/package.json -type f)

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	npm --prefix web ci --no-fund --no-audit
	@touch $@

web/dist/index.html: $(WEB_SOURCES) web/node_modules/.package-lock.json
	npm --prefix web run build

.PHONY: web
ifeq ($(shell command -v npm),)
web:
	@echo "There is no npm here: promgate is built without its page. Install Node 20 or later for it."
else
web: web/dist/index.html ## Build the page into web/dist
endif

.PHONY: build
build: web ## Build bin/promgate: one static binary, with the page in it
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o bin/promgate ./cmd/promgate

.PHONY: demo
demo: build
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/demo ./cmd/demo

.PHONY: run
run: demo ## Start a gateway with four Prometheus servers to try (ADDR=127.0.0.1:8080)
	exec bin/demo --promgate bin/promgate $(if $(ADDR),--addr $(ADDR)) $(if $(INFO),--info $(INFO))

.PHONY: run-kubernetes
run-kubernetes: demo controlplane ## The same, through a real Kubernetes API server
	exec bin/demo --promgate bin/promgate --kubernetes --controlplane bin/controlplane $(if $(ADDR),--addr $(ADDR)) $(if $(INFO),--info $(INFO))

# What a build of kube-apiserver and kubectl says of its version.
KUBE_LDFLAGS = -s -w -X k8s.io/component-base/version.gitVersion=$$($(GO) list -C testdata/controlplane -m -f '{{.Version}}' k8s.io/kubernetes)

.PHONY: controlplane
controlplane:
	@echo "building the local control plane (kube-apiserver and etcd; minutes, the first time)"
	CGO_ENABLED=0 $(GO) build -C testdata/controlplane -trimpath -buildvcs=false -ldflags "$(KUBE_LDFLAGS)" -o $(PROMGATE_CONTROLPLANE) .

.PHONY: kubectl
kubectl:
	@echo "building kubectl (minutes, the first time)"
	CGO_ENABLED=0 $(GO) build -C testdata/controlplane -trimpath -buildvcs=false \
		-ldflags "$(KUBE_LDFLAGS)" -o $(PROMGATE_KUBECTL) k8s.io/kubernetes/cmd/kubectl

.PHONY: prometheus
prometheus:
	@echo "building prometheus and promtool (minutes, the first time)"
	CGO_ENABLED=0 $(GO) build -C testdata/prometheus -trimpath -tags remove_all_sd -ldflags "-s -w" -o $(CURDIR)/bin/ \
		github.com/prometheus/prometheus/cmd/prometheus github.com/prometheus/prometheus/cmd/promtool

# The browser that drives the page. It comes with the distribution: npm's own would be downloaded from elsewhere.
.PHONY: browser
browser:
	@for b in chromium chromium-browser google-chrome; do command -v $$b >/dev/null && exit 0; done; \
	if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		echo "installing chromium"; apt-get update -qq && apt-get install -y -qq chromium >/dev/null; \
	else \
		echo "The page's tests need Chromium: install it, so that chromium is on the PATH."; exit 1; \
	fi

.PHONY: test
test: ## Run every test, against a real API server, real Prometheus servers and a real browser
	@# Two at once: what waits for the network or links leaves a processor to what compiles.
	$(MAKE) -j2 build controlplane kubectl prometheus browser staticcheck
	$(MAKE) lint test-page
	$(if $(RACE),,@echo "no C compiler: testing without the race detector")
	$(GO) test $(RACE) -timeout 30m ./...

.PHONY: test-page
test-page: web
	npm --prefix web run check

.PHONY: picture
picture: browser web ## Take the README's picture of the page anew
	$(GO) test -count 1 -timeout 20m -run 'TestBrowser$$' ./cmd/promgate/e2e
	mkdir -p docs/images && cp web/browser/artefacts/explore-light.png docs/images/explore.png

.PHONY: staticcheck
staticcheck:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/staticcheck honnef.co/go/tools/cmd/staticcheck

# With the flags of the tests, so that nothing is compiled once more for it.
.PHONY: lint
lint: staticcheck ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not gofmt'ed: $$unformatted"; exit 1; }
	$(GO) vet $(RACE) ./...
	GOFLAGS=$(RACE) bin/staticcheck ./...

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (30s)
	@set -e; for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz' || true); do \
			echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p; done; done

.PHONY: bench
bench: ## Run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./gateway/... ./tokens/... ./auth/...

.PHONY: load-test
load-test: ## Two tenants in open-loop load: figures of fairness and overload (LOADTIME=15s a phase)
	$(GO) test ./gateway/loadtest -count 1 -timeout 20m -v -load.duration $(LOADTIME) -load.report

.PHONY: bench-proxy
bench-proxy: build ## CPU per request and throughput of the built gateway, beside a bare forwarder and nginx
	@command -v nginx >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get install -y -qq nginx-light >/dev/null; } || true
	$(GO) build -o bin/benchproxy ./cmd/benchproxy
	bin/benchproxy --promgate bin/promgate

bin/prometheus:
	$(MAKE) prometheus

.PHONY: bench-dashboard
bench-dashboard: build bin/prometheus ## A refreshing dashboard through the built gateway, beside Prometheus itself
	$(GO) build -o bin/benchdashboard ./cmd/benchdashboard
	bin/benchdashboard --promgate bin/promgate --prometheus bin/prometheus

.PHONY: bench-scale
bench-scale: build ## Latency, memory and start with 10,000 environments and 100,000 tokens, beside 10 of each
	$(GO) build -o bin/benchscale ./cmd/benchscale
	bin/benchscale --promgate bin/promgate

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin
