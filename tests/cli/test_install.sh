#!/bin/sh
# Installs a build into a folder, moves it, and compiles the README's example against it: with
# pkg-config (shared and static) and with a CMake project; runs each on a photo. Run in the
# repository's root: tests/cli/test_install.sh BUILD_FOLDER
set -eu
build=$1
cc=${CC:-cc}
model=models/cifar10_cct
example=tools/example/classify.c
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail()
{
    echo "FAIL $*"
    exit 1
}

quietly()
{
    "$@" >"$work/log" 2>&1 || { cat "$work/log"; fail "$*"; }
}

# ---- the README's example is this file, and short -----------------------------------------------
[ "$(wc -l <"$example")" -le 40 ] || fail "$example has more than 40 lines"
awk '/^```c$/ { inside = 1; next } inside && /^```$/ { exit } inside' README.md >"$work/readme.c"
diff "$work/readme.c" "$example" || fail "the C block of README.md is not $example"

# ---- installed files, in a folder that has moved ------------------------------------------------
quietly cmake --install "$build" --prefix "$work/first"
mv "$work/first" "$work/second"
prefix=$work/second
library=$(dirname "$(find "$prefix" -name libattn.a)")
for file in "$prefix/bin/attn" "$prefix/include/attn.h" "$library/libattn.a" "$library/libattn.so" \
    "$library/libattn.so.0" "$library/pkgconfig/attn.pc" "$library/cmake/attn/attnConfig.cmake" \
    "$prefix/include/attn_text.h" "$library/libattn_text.a" "$library/libattn_text.so" \
    "$library/libattn_text.so.0" "$library/pkgconfig/attn_text.pc"; do
    [ -e "$file" ] || fail "not installed: $file"
done
if grep -rlF -e "$work/first" -e "$PWD" "$library/pkgconfig" "$library/cmake"; then
    fail "installed files name the folder they were built for"
fi
"$prefix/bin/attn" --version
export PKG_CONFIG_PATH="$library/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
export LD_LIBRARY_PATH="$library"

# ---- compiled with pkg-config -------------------------------------------------------------------
flags="-std=c11 -Wall -Wextra -Wpedantic -Werror"
# shellcheck disable=SC2046,SC2086 # the flags are several words
quietly $cc $flags "$example" $(pkg-config --cflags --libs attn) -o "$work/shared"
# shellcheck disable=SC2046,SC2086
quietly $cc $flags "$example" \
    $(pkg-config --static --cflags --libs attn | sed 's/-lattn/-l:libattn.a/') -o "$work/static"
readelf -d "$work/shared" | grep -q 'NEEDED.*libattn\.so\.0' || fail "not linked to libattn.so.0"
if readelf -d "$work/static" | grep -q 'NEEDED.*libattn'; then fail "linked to libattn.so"; fi

# ---- the text library: its own example, the tokens of a text --------------------------------------
text=tools/example/tokenize.c
# shellcheck disable=SC2046,SC2086
quietly $cc $flags "$text" $(pkg-config --cflags --libs attn_text) -o "$work/text_shared"
# shellcheck disable=SC2046,SC2086
quietly $cc $flags "$text" \
    $(pkg-config --static --cflags --libs attn_text |
        sed 's/-lattn_text/-l:libattn_text.a/; s/-lattn\( \|$\)/-l:libattn.a\1/') -o "$work/text_static"
readelf -d "$work/text_shared" | grep -q 'NEEDED.*libattn_text\.so\.0' ||
    fail "not linked to libattn_text.so.0"
if readelf -d "$work/text_static" | grep -q 'NEEDED.*libattn'; then fail "linked to libattn_text.so"; fi
if readelf -d "$library/libattn.so" | grep -q 'NEEDED.*\(pcre2\|utf8proc\)'; then
    fail "libattn.so needs what only libattn_text should"
fi

# ---- compiled with find_package -----------------------------------------------------------------
mkdir "$work/project"
cp "$example" "$text" "$work/project"
cat >"$work/project/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(example LANGUAGES C)
find_package(attn 0.1 REQUIRED)
add_executable(package_shared classify.c)
target_link_libraries(package_shared PRIVATE attn::attn)
add_executable(package_static classify.c)
target_link_libraries(package_static PRIVATE attn::attn_static)
add_executable(package_text_shared tokenize.c)
target_link_libraries(package_text_shared PRIVATE attn::attn_text)
add_executable(package_text_static tokenize.c)
target_link_libraries(package_text_static PRIVATE attn::attn_text_static)
END
quietly cmake -G Ninja -S "$work/project" -B "$work/package" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_PREFIX_PATH="$prefix"
quietly cmake --build "$work/package"

printf '%s\n' '[UNK]' '[CLS]' '[SEP]' '[PAD]' '[MASK]' hello world >"$work/vocab.txt"
for program in "$work/text_shared" "$work/text_static" "$work/package/package_text_shared" \
    "$work/package/package_text_static"; do
    quietly "$program" "$work" "Hello world"
    [ "$(tr '\n' ' ' <"$work/log")" = "1 [CLS] 5 hello 6 world 2 [SEP] " ] ||
        fail "$program: $(cat "$work/log")"
done

# ---- the programs run ---------------------------------------------------------------------------
photo=$(find models/samples -name '*.png' 2>/dev/null | sort | head -n 1)
if [ ! -e $model/model.safetensors ] || [ -z "$photo" ]; then
    echo "SKIP running the installed example: $model/model.safetensors or models/samples is not there"
    exit 0
fi
for program in "$work/shared" "$work/static" "$work/package/package_shared" \
    "$work/package/package_static"; do
    quietly "$program" $model "$photo"
    [ "$(wc -l <"$work/log")" -eq 3 ] || fail "$program: expected three lines, got: $(cat "$work/log")"
    mv "$work/log" "$work/result"
    [ ! -e "$work/expected" ] || diff "$work/expected" "$work/result" || fail "$program differs"
    cp "$work/result" "$work/expected"
done
cat "$work/expected"
