#!/usr/bin/env bash
# Runs a libFuzzer program from its committed corpus for FUZZ_SECONDS (600).
# Usage: tests/fuzz/run_target.sh PROGRAM CORPUS

set -euo pipefail

if (($# != 2)); then
  echo "usage: tests/fuzz/run_target.sh PROGRAM CORPUS" >&2
  exit 2
fi
readonly program=$1 corpus=$2
readonly seconds=${FUZZ_SECONDS:-600}
if ! [[ $seconds =~ ^[1-9][0-9]{0,3}$ ]] || ((seconds > 3600)); then
  echo "FUZZ_SECONDS must be 1 .. 3600, is \"$seconds\"" >&2
  exit 2
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
name=$(basename "$program")
found=$(dirname "$program")/../Testing/$name.
mkdir -p "$(dirname "$found")"
# An input may take 10 s under the sanitizers and 1 GiB of memory; no target
# should come near either.
"$program" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
  -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$found" \
  "$scratch" "$corpus"
