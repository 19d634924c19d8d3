# Mohar: what a newcomer needs is `make run` and `make test`.

GO      ?= go
BIN     := bin
WEB     := web
FUZZ    ?= 20s
PORT    ?= 10000
WEBSRC  := $(shell find $(WEB) -path $(WEB)/node_modules -prune -o -path $(WEB)/dist -prune -o -type f -print)

.PHONY: run test build lint bench fuzz web deps unit conform crash e2e clean

## run: build everything, seed a sample government and serve it until Ctrl-C
run: build
	$(BIN)/mohar demo --port-base $(PORT)

## build: the web pages and the binaries, into bin/
build: web
	@echo "== building the binaries"
	@mkdir -p $(BIN)
	$(GO) build -o $(BIN)/ ./cmd/...

web: $(WEB)/dist/index.html

$(WEB)/dist/index.html: $(WEBSRC)
	@echo "== building the web pages"
	cd $(WEB) && npm ci --no-audit --no-fund && npm run build

## test: install what the tests need and run them all
test: deps build
	@echo "== web: types, style, unit tests"
	cd $(WEB) && npm run check && npm test
	@echo "== Go: vet and all packages under the race detector"
	$(GO) vet ./...
	$(GO) test -race -timeout 10m $$($(GO) list ./... | grep -v /conform/)
	@echo "== whole servers: peers, crashes, browser"
	$(GO) test -count=1 -timeout 15m -p 1 ./conform/...

## deps: Debian packages that the tests run against (Postfix, Dovecot, mbsync, swaks, Chromium)
deps:
	tools/deps.sh

## lint: format, vet and the walls between the rooms
lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) test ./tools/archlint/...
	cd $(WEB) && npm ci --no-audit --no-fund && npm run check

## bench: the benchmarks of every package
bench:
	$(GO) test -run '^$$' -bench . -benchmem $$($(GO) list ./... | grep -v /conform/)

## fuzz: every fuzz target for FUZZ (20s)
fuzz:
	tools/fuzz.sh $(FUZZ)

clean:
	rm -rf $(BIN) $(WEB)/dist $(WEB)/node_modules
