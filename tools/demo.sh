#!/usr/bin/env bash
# From a fresh Debian 12 to classified photos and sentences, a plate that is read, a story, and pictures of what the models
# attended to:
#     tools/demo.sh
# May be run again at any time, from any folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/packages.sh

model=models/cifar10_cct
build=build/demo
pictures=$build/pictures
log=$build/log.txt
attn=$build/attn

# Runs a command, shown only if it fails.
quietly()
{
    "$@" >"$log" 2>&1 && return
    echo
    tail -n 30 "$log"
    echo "failed: $*"
    echo "the whole output: $PWD/$log"
    exit 1
} >&2

echo "[1/6] Debian packages"
install_packages gcc libc6-dev cmake ninja-build pkg-config libcjson-dev libpcre2-dev \
    libutf8proc-dev libstb-dev

echo "[2/6] build into $build"
mkdir -p $build
quietly cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release
quietly ninja -C $build attn

if [ ! -e $model/model.safetensors ]; then
    echo "$model/model.safetensors is not there: is the checkout complete?" >&2
    exit 1
fi

echo "[3/6] classify the photos of models/samples with $model"
echo
mkdir -p $pictures
printf '      %-16s %-24s %s\n' photo class "second guess"
shopt -s nullglob nocaseglob
photos=(models/samples/*.{jpg,jpeg,png,bmp,gif,tga,ppm,pgm})
for photo in "${photos[@]}"; do
    name=$(basename "${photo%.*}")
    quietly $attn classify $model "$photo" --top 2 --heatmap $pictures/"$name".png
    # "  93.10 %  cat", most probable first
    awk -v photo="$(basename "$photo")" '
        $2 == "%" { guess[++n] = sprintf("%-10s %6.2f %%", $3, $1) }
        END { printf "      %-16s %-24s %s\n", photo, guess[1], guess[2] }' "$log"
done
echo

echo "[4/6] read the plate of models/plates"
echo
plate=models/plates/plate.png
quietly $attn read models/plates $plate --heatmap $pictures/plate.png
awk -v photo="$(basename $plate)" '$2 == "%" { printf "      %-16s %-10s %6.2f %%\n", photo, $3, $1 }' "$log"
echo

echo "[5/6] text: a sentence with models/sentiment, a story by models/stories260k"
echo
sentence="The food is absolutely delicious, and the waiters never made us wait."
$attn classify models/sentiment --text "$sentence" | sed 's/^/      /'
echo
$attn generate models/stories260k --prompt "Once upon a time" --echo --max-tokens 100 --quiet |
    fold -s -w 90 | sed 's/^/      /'
echo

echo "[6/6] every attention map of every photo, and of the sentence"
for photo in "${photos[@]}"; do
    quietly $attn explain $model "$photo" --out $pictures/"$(basename "${photo%.*}")"
done

quietly $attn explain models/sentiment --text "$sentence" --out $pictures

echo
echo "The pictures:"
echo "  $PWD/$pictures/PHOTO.png     the photo, and what the model attended to"
echo "  $PWD/$pictures/PHOTO/        every layer and head"
echo "  $PWD/$pictures/plate.png     the plate, and what each character was read from"
echo "  $PWD/$pictures/attention.html  the sentence, for a browser"
echo "Your own photo:"
echo "  $PWD/$attn classify $PWD/$model PHOTO.jpg --heatmap heat.png"
