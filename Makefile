# Every recipe is one command; the scripts are in .ci/.

.PHONY: test race matrix bench fuzz lint check

test: ## the suite, on whichever PostgreSQL is found
	go test ./...

race: ## the suites of all modules, with the race detector
	.ci/race

matrix: ## the suite on PostgreSQL 14, 15, 16, 17 and 18, which it downloads
	.ci/matrix

bench: ## measure, and write the tables of docs/performance.md
	cd bench && go run . -docs ../docs/performance.md -json results

fuzz: ## every fuzz target for half a minute
	.ci/fuzz 30s

lint: ## formatting, vet, staticcheck, govulncheck, tidy modules
	.ci/lint

check: lint race ## what must pass before a change goes in
	.ci/fuzz 2s
