#!/usr/bin/env bash
# Looks for inputs that break a reader:
#     tools/fuzz.sh NAME SECONDS      NAME as in tests/fuzz/fuzz_NAME.c
# What it learns stays in build/fuzz/corpus/NAME, so that a later call goes on from there; what breaks
# the reader is written to build/fuzz/found/NAME. Needs clang and its
# libclang-rt. The first call builds for some minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
name=${1-} seconds=${2-}
if [ ! -e "tests/fuzz/fuzz_$name.c" ] || ! [[ $seconds =~ ^[0-9]+$ ]]; then
    echo "usage: tools/fuzz.sh NAME SECONDS; NAME one of" \
        "$(cd tests/fuzz && echo fuzz_*.c | sed -E 's/fuzz_([a-z_]*)\.c/\1/g')" >&2
    exit 2
fi

build=build/fuzz
cmake -S . -B $build -G Ninja -DCMAKE_C_COMPILER=clang -DATTN_TESTS=ON -DATTN_FUZZ=ON >$build.log 2>&1 &&
    ninja -C $build "fuzz_$name" >>$build.log 2>&1 || { tail -n 40 $build.log; exit 1; }
mkdir -p "$build/corpus/$name" "$build/found/$name"
seeds=()
for folder in "tests/fuzz/corpus/$name" "tests/golden/$name" "tests/golden/${name}s/files"; do
    [ -d "$folder" ] && seeds+=("$folder")
done
# New inputs go to the first folder.
exec "$build/fuzz_$name" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=4096 \
    -artifact_prefix="$build/found/$name/" "$build/corpus/$name" "${seeds[@]}"
