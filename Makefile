# Tintype. `make help` lists what there is.

GO    ?= go
SEED  ?= 0
STEPS ?= 150
TIME  ?= 60s
FULL_MIB ?= 4096
ROW_SECONDS ?= 60
N     ?= 50
PKG   ?= ./...
ROWS  ?= .

# mke2fs, debugfs and e2fsck are there, and not on an ordinary user's PATH.
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: deps build ## watch it work: a Debian image, snapshotted while it is written, restored, verified
	bin/tintype demo

.PHONY: test
test: deps ## every test: house rules, units, a bounded simulation, end to end with the real clients
	$(GO) test -timeout 25m ./...

.PHONY: build
build: ## build bin/tintype
	$(GO) build -o bin/tintype ./cmd/tintype

.PHONY: deps
deps: ## install the clients that tests and demo run (qemu-utils, libnbd-bin, azure-cli, ...)
	@.ci/deps

.PHONY: lint
lint: ## gofumpt, vet, staticcheck, and govulncheck where its database can be reached
	@out=$$($(GO) tool gofumpt -l .); [ -z "$$out" ] || { echo "gofumpt would change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@if curl -sfm 20 -o /dev/null https://vuln.go.dev/index/db.json; then $(GO) tool govulncheck ./...; \
	else echo "govulncheck: not run, https://vuln.go.dev cannot be reached from here"; fi

.PHONY: race
race: deps ## the tests under the race detector (PKG=./internal/nbd/... for a part)
	$(GO) test -race -timeout 60m $(PKG)

.PHONY: fuzz
fuzz: ## each fuzz test for TIME (TIME=60s)
	@set -e; for pkg in $$($(GO) list $(PKG)); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(TIME) $$pkg; \
	  done; done

.PHONY: sim
sim: ## whole histories of the engine against a model, for TIME; SEED=n plays one again
	$(GO) test ./internal/sim -run TestSeeds -count=1 -timeout 24h -v \
	  -sim.seed=$(SEED) -sim.steps=$(STEPS) -sim.time=$(TIME) -sim.count=1000000000

.PHONY: bench
bench: build ## speed beside qemu-nbd, nbdkit and others, 25 minutes (Debian: fio nbdkit qemu-utils xfsprogs btrfs-progs; as root); ROWS=snapshot for some rows
	$(GO) build -o bin/peers ./bench/peers
	bin/peers -binary bin/tintype -out bench/results -rows '$(ROWS)'

.PHONY: micro
micro: ## Go benchmarks of the engine and its doors, for benchstat
	$(GO) test -run '^$$' -bench . -skip 'NearlyFull|Busy' -benchtime 100x -timeout 60m ./bench
	$(GO) test -run '^$$' -bench Busy -benchtime 1x -timeout 60m ./bench
	$(GO) test -run '^$$' -bench . -skip Fio ./internal/lsd ./internal/nbd ./internal/vhost
	$(GO) test -run '^$$' -bench Fio -benchtime 1x -timeout 60m ./internal/nbd

.PHONY: bench-full
bench-full: ## a nearly full store: ROW_SECONDS of random overwrites at 80, 90 and 95 % of a file system of FULL_MIB; takes root
	$(GO) test -run '^$$' -bench NearlyFull -benchtime 1x -timeout 24h -count 1 ./bench \
	  -full.size $(FULL_MIB) -full.seconds $(ROW_SECONDS) -full.out results

.PHONY: e2e
e2e: deps ## the real binary with the real clients; kill -9 N times in a row (N=50)
	TINTYPE_KILLS=$(N) $(GO) test -count=1 -timeout 60m -v ./e2e
