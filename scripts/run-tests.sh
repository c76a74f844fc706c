#!/usr/bin/env bash
# Runs make targets one after another, even when one fails, and closes with one line that counts what they counted.
set -uo pipefail
cd "$(dirname "$0")/.."
export NO_COLOR=1 CARGO_TERM_COLOR=never
logs=test-results
mkdir -p "$logs"

passed=0 failed=0 skipped=0
summary=()

main() {
  local target
  for target in "$@"; do run "$target"; done
  printf '\n%s\n' "${summary[@]}"
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ]
}

run() {
  local target=$1 log=$logs/$1.log began=$SECONDS outcome=ok
  printf '\n=== make %s\n' "$target"
  make --no-print-directory "$target" 2>&1 | tee "$log" || outcome=FAILED
  local p f s
  read -r p f s < <(count "$log")
  # A part that breaks without a test of its own saying so (it did not compile, say) is one failure.
  if [ "$outcome" = FAILED ] && [ "$f" -eq 0 ]; then f=1; fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  summary+=("$(printf '%-14s %-6s %5d passed %3d failed %3d skipped %5d s' "$target" $outcome "$p" "$f" "$s" $((SECONDS - began)))")
}

# Adds up the closing lines of cargo test, vitest, pytest and node's test runner: "passed failed skipped".
count() {
  awk '
    function before(word,   i) { for (i = 2; i <= NF; i++) if ($i ~ "^" word "[;,]?$") return $(i - 1) + 0; return 0 }
    /^test result:/             { p += before("passed"); f += before("failed"); s += before("ignored") }
    /^ +Tests +[0-9]/           { p += before("passed"); f += before("failed"); s += before("skipped") }
    /^=+ .* in [0-9.]+s.* =+$/  { p += before("passed"); f += before("failed") + before("errors?"); s += before("skipped") }
    /^(ℹ|#) pass [0-9]+$/       { p += $3 }
    /^(ℹ|#) fail [0-9]+$/       { f += $3 }
    /^(ℹ|#) skipped [0-9]+$/    { s += $3 }
    END { print p + 0, f + 0, s + 0 }
  ' "$1"
}

main "$@"
