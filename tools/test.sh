#!/usr/bin/env bash
# Installs what is missing, builds, runs every test. From any folder:
#     tools/test.sh           everything
#     tools/test.sh quick     a gcc build and its tests
# ATTN_PYTHON names a Python that has the packages of tests/requirements.txt; without it, they go into
# build/venv. CI=true: what cannot be installed is a failure, not a skip.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
. tools/packages.sh
. tools/test_parts.sh

case "${1-}" in
"" | quick) ;;
*)
    echo "usage: tools/test.sh [quick]" >&2
    exit 2
    ;;
esac

part "Debian packages"
packages=(gcc libc6-dev cmake ninja-build pkg-config libcjson-dev libpcre2-dev
    libutf8proc-dev libstb-dev libcmocka-dev locales)
if [ "${1-}" != quick ]; then
    packages+=(clang clang-format libjpeg62-turbo-dev libsimde-dev libonnx-testdata python3 python3-venv
        fonts-dejavu-core fonts-liberation)
fi
install_packages "${packages[@]}" || exit 1
# A test wants a locale with a decimal comma.
mkdir -p $out/locale
localedef -i de_DE -f UTF-8 $out/locale/de_DE.UTF-8 && export LOCPATH=$PWD/$out/locale

part "gcc"
build gcc -DCMAKE_C_COMPILER=gcc && run_ctest gcc
if [ "${1-}" = quick ]; then
    summary
    exit
fi

part "what was built"
if [ -e $out/gcc/attn ]; then
    check "no more than attn_ symbols exported" exported_symbols
    check "no forbidden compiler flags" forbidden_flags
    check "attn is under a mebibyte, stripped" binary_size
    check "the formatting is clang-format's" formatting
fi

# The suite as each instruction set sees it. Tests of kernels and of bits go through all levels by
# themselves.
for level in scalar avx2 avx512 avx512vnni avx512bf16 neon; do
    part "gcc, ATTN_CPU=$level"
    why=$(ATTN_CPU=$level $out/gcc/attn check models/worked_example 2>&1)
    if [ ! -e $out/gcc/attn ]; then
        fail "no build"
    elif [[ $why == *ATTN_CPU=* ]]; then
        skip "$why"
    else
        ATTN_CPU=$level run_ctest gcc -LE 'kernels|fuzz' -E 'test_install|bits'
    fi
done

part "clang"
build clang -DCMAKE_C_COMPILER=clang && run_ctest clang

export ATTN_TEST_BRIEF=1 # what follows is slow, and looks for other things than bits

part "address and undefined-behaviour sanitizers"
export ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
build sanitize -DCMAKE_C_COMPILER=gcc -DATTN_SANITIZE=address,undefined && run_ctest sanitize

part "thread sanitizer"
# gcc 12's knows no address space as scattered as newer kernels make it.
if setarch -R true 2>/dev/null; then runner=(setarch -R); fi
TESTS="-R thread|model|session" build threads -DCMAKE_C_COMPILER=gcc -DATTN_SANITIZE=thread &&
    run_ctest threads -R 'thread|model|session'
runner=()

part "AVX-512 emulated"
if [ "$(uname -m)" != x86_64 ]; then
    skip "AVX-512 is emulated on x86_64 only"
elif TESTS="-L kernels|layers|models" build emulate -DCMAKE_C_COMPILER=gcc -DATTN_EMULATE=ON; then
    run_ctest emulate -L kernels
    run_ctest emulate -L 'layers|models' -R bits
    ATTN_CPU=avx512 run_ctest emulate -L 'layers|models' -R 'golden|attention|model' -E bits
    ATTN_CPU=avx512vnni run_ctest emulate -L 'layers|models' -R 'golden|model' -E bits
fi

part "NEON emulated"
if [ "$(uname -m)" = aarch64 ]; then
    skip "this machine has NEON itself"
elif why=$(arm_packages); then
    TESTS="-L kernels|layers|models" build arm --toolchain tools/cmake/aarch64.cmake -DATTN_ROOT="$PWD/$out/arm64" &&
        run_ctest arm -L 'kernels|layers|models'
elif [ "${CI-}" = true ]; then
    fail "$why"
else
    skip "$why"
fi
unset ATTN_TEST_BRIEF

part "libjpeg-turbo"
TESTS="-R image|preprocess" build libjpeg -DCMAKE_C_COMPILER=gcc -DATTN_LIBJPEG=ON && run_ctest libjpeg -R 'image|preprocess'

part "Python"
if [ ! -e $out/gcc/attn ]; then
    fail "no build"
elif python=$(python_with_packages); then
    run_unittests "$python" tests/*/test_*.py
elif [ "${CI-}" = true ]; then
    fail "the packages of tests/requirements.txt cannot be installed: $out/pip.log"
else
    skip "Python tests: the packages of tests/requirements.txt cannot be installed ($out/pip.log)"
fi

summary
