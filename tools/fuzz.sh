#!/usr/bin/env bash
# Runs every fuzz target of the module for the time given (default 20s).
# Prints a line for each; ends with 1 when one found something. Making an
# interesting input smaller is bounded, or it would take the time of the search.
set -uo pipefail
cd "$(dirname "$0")/.."
span=${1:-20s}
failed=0 passed=0
while IFS=: read -r file target; do
	pkg=./$(dirname "$file")
	printf '%s %s ... ' "$pkg" "$target"
	if out=$(go test -run '^$' -fuzz "^$target\$" -fuzztime "$span" -fuzzminimizetime 5s "$pkg" 2>&1); then
		passed=$((passed + 1))
		echo "$out" | grep -o 'execs: [0-9]*' | tail -1
	else
		failed=$((failed + 1))
		echo FOUND
		echo "$out" | tail -40
	fi
done < <(git ls-files '*_test.go' | xargs grep -Ho '^func Fuzz[A-Za-z0-9_]*' | sed 's/:func /:/' | sort)
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
