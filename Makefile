# `make` alone lists what there is. GO may name another toolchain.
GO ?= go
TOOLS := $(CURDIR)/.cache/bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
PLATFORMS := linux/amd64 linux/arm64 windows/amd64
# Tests start real servers and real processes; each package gets this long before it is taken for stuck.
TEST_TIMEOUT ?= 15m
# Suites that run the whole program between real servers: never taken from go test's cache.
WHOLE := cmd/dirsweep cmd/internal/acceptance cmd/internal/fieldcases
export PATH := $(PATH):/usr/sbin:/sbin

.DEFAULT_GOAL := help
.PHONY: help build demo test needs check format vet staticcheck tidy cross model race bench bench-latency year mutants generate lint clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{ printf "  %-14s %s\n", $$1, $$2 }'

build: ## bin/dirsweep, static, for this machine
	CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/dirsweep

demo: ## watch joiners, movers and leavers: nothing to set up
	$(GO) run ./cmd/dirsweep demo

test: needs ## every test, against real servers; installs what they need
	$(GO) test -timeout $(TEST_TIMEOUT) $$($(GO) list ./... | grep -v $(WHOLE:%=-e '/%$$'))
	$(GO) test -count=1 -timeout $(TEST_TIMEOUT) $(WHOLE:%=./%)

needs: ## install slapd and the like where they are missing
	@packaging/scripts/test-needs

check: format vet staticcheck tidy cross race ## everything a change must pass, besides `make test`

format: $(TOOLS)/gofumpt ## names files that gofumpt would change
	@out=$$(git ls-files -z '*.go' | xargs -0 $(TOOLS)/gofumpt -l); \
	if [ -n "$$out" ]; then echo "gofumpt would change:"; echo "$$out"; exit 1; fi

vet: ## go vet, for Linux and for Windows
	$(GO) vet ./...
	GOOS=windows CGO_ENABLED=0 $(GO) vet ./...

staticcheck: $(TOOLS)/staticcheck ## staticcheck, all checks
	$(TOOLS)/staticcheck ./...

tidy: ## go.mod and go.sum say what the code needs
	$(GO) mod tidy -diff

cross: ## a static binary for each platform, in bin/PLATFORM
	@set -e; for p in $(PLATFORMS); do \
		echo "build $$p"; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -buildvcs=false -trimpath -ldflags '$(LDFLAGS)' -o bin/$${p%/*}-$${p#*/}/ ./cmd/dirsweep; \
	done

model: ## 10,000 random histories against the reference model; DIRSWEEP_MODEL_SEED=10000 for others
	DIRSWEEP_MODEL_HISTORIES=$${DIRSWEEP_MODEL_HISTORIES:-10000} $(GO) test -count=1 -v -run '^TestModel$$' -timeout $(TEST_TIMEOUT) ./sync/reconcile

race: needs ## every test again, under the race detector
	$(GO) test -race -timeout $(TEST_TIMEOUT) ./...

bench: needs ## one table: reading and whole passes of 10,000 and 100,000 people beside ldapsearch and a bare listing
	$(GO) test -run '^$$' -bench 'Table|Leavers' -benchtime 1x -timeout 1h ./cmd/internal/bench

bench-latency: needs ## how soon a leaver's account is closed, by directory: 500 who leave 5,000; LATENCY_LEAVERS=50 for fewer
	$(GO) test -run '^$$' -bench Latency -benchtime 1x -timeout 1h ./cmd/internal/bench

year: ## a simulated year of 100,000 people: what state, trail and evidence come to; YEAR_PEOPLE=20000 for fewer
	YEAR_PEOPLE=$${YEAR_PEOPLE:-100000} $(GO) test -count=1 -v -run '^TestYear$$' -timeout 3h ./cmd/internal/bench

mutants: needs ## breaks each rule on purpose and sees a test notice; ARGS="-only R8" for some, ARGS=-h for more
	$(GO) run ./cmd/internal/mutants $(ARGS)

generate: ## go generate
	$(GO) generate ./...

lint: ## golangci-lint, where it is installed; optional: `make check` does not need it
	golangci-lint run

clean: ## remove what was built, and the tools
	rm -rf bin .cache

$(TOOLS)/gofumpt $(TOOLS)/staticcheck: packaging/tools/go.mod packaging/tools/go.sum
	cd packaging/tools && GOBIN=$(TOOLS) $(GO) install tool
	@touch $(TOOLS)/gofumpt $(TOOLS)/staticcheck
