# Sourced by test.sh: how its parts are built, run and counted.

out=build/test
mkdir -p $out
passed=0
failed=0
skips=$out/skips.txt       # one line for each skipped test
failures=$out/failures.txt # one line for each failed test
: >$skips
: >$failures
part_name=
runner=() # what ctest is run by
SECONDS=0

part()
{
    part_name=$1
    printf '== %s (at %d:%02d)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60))
}

fail()
{
    failed=$((failed + 1))
    echo "$part_name: $1" | tee -a $failures | sed 's/^/   FAILED /'
}

skip()
{
    echo "$part_name: $1" >>$skips
    echo "   skipped: $1"
}

# build FOLDER CMAKE_OPTION...: the compiler's output is shown only if it fails. With TESTS, options of
# ctest that choose tests in C, only what those need.
build()
{
    local folder=$out/$1 log=$out/$1.build.log targets=()
    shift
    if cmake -S . -B "$folder" -G Ninja -DATTN_TESTS=ON -DATTN_WERROR=ON "$@" >"$log" 2>&1; then
        if [ -n "${TESTS-}" ]; then
            # shellcheck disable=SC2086
            mapfile -t targets < <(ctest --test-dir "$folder" -N $TESTS |
                sed -nE 's/^ *Test +#[0-9]+: (.*)/\1/p')
        fi
        ninja -C "$folder" "${targets[@]}" >>"$log" 2>&1 && return 0
    fi
    tail -n 40 "$log"
    fail "build; its whole output: $log"
    return 1
}

# run_ctest FOLDER CTEST_OPTION...: counts the tests; shows what failed.
run_ctest()
{
    local folder=$out/$1 log total bad off number foreign=neon
    # Levels of the other architecture are not missed.
    case $1-$(uname -m) in arm-* | *-aarch64) foreign='avx[0-9a-z]*' ;; esac
    log=$(mktemp $out/"$1".ctest.XXXX.log)
    shift
    "${runner[@]}" ctest --test-dir "$folder" -V -j "$(nproc)" --timeout 600 "$@" >"$log" 2>&1
    # Newer versions leave the failed ones out where there are none.
    read -r bad total < <(sed -nE 's/.*tests passed, ([0-9]+) tests failed out of ([0-9]+)/\1 \2/p
        s/.*tests passed out of ([0-9]+)/0 \1/p' "$log")
    if [ -z "${total-}" ] || [ "$total" -eq 0 ]; then
        tail -n 5 "$log"
        fail "no test ran; the whole output: $log"
        return 1
    fi
    # A whole test that skips ("***Skipped"), and tests that skip a case and print SKIP and why.
    off=$(grep -c '\*\*\*Skipped' "$log")
    grep -oE '^[0-9]+: .*\bSKIP\b.*' "$log" | grep -vE "SKIP level $foreign:" |
        sed -E "s/^[0-9]+: +/$part_name: /" >>$skips
    passed=$((passed + total - bad - off))
    echo "   $((total - bad - off)) of $total tests passed"
    [ "$bad" -eq 0 ] && return 0
    while read -r number name; do
        grep "^$number: " "$log" | tail -n 30
        fail "$name"
    done < <(sed -n '/^The following tests FAILED/,$s/^[\t ]*\([0-9]*\) - \([^ ]*\) .*/\1 \2/p' "$log")
    return 1
}

# run_unittests PYTHON FILE...: each file by a process of its own, as many at a time as there are
# processors, so in order of size the large ones first.
run_unittests()
{
    local python=$1 file logs=$out/unittest
    shift
    rm -rf $logs
    mkdir -p $logs
    # shellcheck disable=SC2016
    ATTN=$PWD/$out/gcc/attn KERAS_BACKEND=torch OMP_NUM_THREADS=1 LOGS=$PWD/$logs PYTHON=$python \
        xargs -P "$(nproc)" -I{} sh -c '
            "$PYTHON" -m unittest discover -v -s "$(dirname {})" -p "$(basename {})" \
                >"$LOGS/$(echo {} | tr / _).log" 2>&1 || true' < <(ls -S "$@")
    for file in "$@"; do
        count_unittest "$file" "$logs/$(echo "$file" | tr / _).log"
    done
}

# count_unittest FILE LOG
count_unittest()
{
    local file=$1 log=$2 bad ran off
    ran=$(sed -n 's/^Ran \([0-9]*\) tests\{0,1\} in .*/\1/p' "$log" | tail -n 1)
    if [ -z "$ran" ] || [ "$ran" -eq 0 ]; then
        tail -n 20 "$log"
        fail "$file: no test ran"
        return 1
    fi
    # "test_name (module.Class.test_name) ... ok"; the result may stand on a later line.
    off=$(grep -cE "(^|\.\.\. )skipped ['\"]" "$log")
    bad=$(sed -nE 's/^(FAILED|OK) ?\((.*)\)$/\2/p' "$log" | tail -n 1 | tr ',' '\n' |
        sed -nE 's/^ *(failures|errors|unexpected successes)=//p' | awk '{ n += $1 } END { print n + 0 }')
    awk -v part="$part_name" '/^test_.* \(.*\)/ { name = $1 }
        /(^|\.\.\. )skipped / { sub(/.*skipped /, ""); print part ": " name ": " $0 }' "$log" >>$skips
    passed=$((passed + (ran > bad + off ? ran - bad - off : 0)))
    echo "   $file: $ran tests ran, $bad failed, $off skipped"
    [ "$bad" -eq 0 ] && tail -n 1 "$log" | grep -q '^OK' && return 0
    sed -n '/^======/,$p' "$log" | tail -n 60
    fail "$file: $bad tests; the whole output: $log"
    failed=$((failed + (bad > 1 ? bad - 1 : 0)))
    return 1
}

# Prints a Python that has the packages of tests/requirements.txt.
python_with_packages()
{
    local venv=build/venv
    if [ -n "${ATTN_PYTHON-}" ]; then
        echo "$ATTN_PYTHON"
        return
    fi
    if ! cat tests/requirements.txt tools/export/requirements.txt | cmp -s - $venv/installed; then
        { python3 -m venv $venv && $venv/bin/pip install -r tests/requirements.txt; } \
            >$out/pip.log 2>&1 || return 1
        cat tests/requirements.txt tools/export/requirements.txt >$venv/installed
    fi
    echo $venv/bin/python
}

# What cross-compiles for ARM and runs the result; prints why it cannot be had.
arm_packages()
{
    install_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user >$out/arm.log 2>&1 &&
        command -v aarch64-linux-gnu-gcc qemu-aarch64 >/dev/null &&
        unpack_packages arm64 $out/arm64 libcjson1 libcjson-dev libcmocka0 libcmocka-dev libstb-dev \
            libpcre2-8-0 libpcre2-dev libutf8proc2 libutf8proc-dev \
            >>$out/arm.log 2>&1 && return 0
    echo "the packages to build and run for ARM cannot be had: $(tail -n 1 $out/arm.log)"
    return 1
}

# check NAME FUNCTION: a test that prints what is wrong, or nothing.
check()
{
    local wrong
    if wrong=$($2 2>&1) && [ -z "$wrong" ]; then
        passed=$((passed + 1))
        echo "   ok: $1"
    else
        echo "$wrong" | head -n 20
        fail "$1"
    fi
}

exported_symbols()
{
    local library
    for library in libattn libattn_text; do
        nm -D --defined-only $out/gcc/$library.so |
            awk -v name=$library.so '$3 !~ /^attn_/ { print name ": " $3 }'
        nm -g --defined-only $out/gcc/$library.a |
            awk -v name=$library.a 'NF == 3 && $3 !~ /^attn_/ { print name ": " $3 }'
    done
}

forbidden_flags()
{
    ninja -C $out/gcc -t commands |
        grep -oE -e '-(ffast-math|Ofast|march=[^ ]*|mtune=[^ ]*|funsafe-math[^ ]*|fassociative-math)' |
        sort -u
    grep -rnE 'pragma (GCC|clang) optimize|__attribute__\(\(optimize|pragma STDC FP_CONTRACT ON' \
        layers runtime tools tests --include='*.[ch]' --include='*.inc'
    return 0
}

binary_size()
{
    local size
    strip -o $out/attn_stripped $out/gcc/attn
    size=$(wc -c <$out/attn_stripped)
    [ "$size" -lt 1048576 ] || echo "attn has $size bytes, stripped"
}

formatting()
{
    find layers runtime tools tests \( -name '*.[ch]' -o -name '*.inc' \) -print0 |
        xargs -0 clang-format --dry-run -Werror
}

# The last lines; false if a test failed.
summary()
{
    if [ -s $skips ]; then
        echo "== skipped, and why"
        sort $skips | uniq -c | sed -E 's/^ *([0-9]+) /   \1 x /'
    fi
    if [ -s $failures ]; then
        echo "== failed"
        sed 's/^/   /' $failures
    fi
    printf '== done in %d:%02d\n' $((SECONDS / 60)) $((SECONDS % 60))
    echo "$passed passed, $failed failed, $(wc -l <$skips) skipped"
    [ "$failed" -eq 0 ]
}
