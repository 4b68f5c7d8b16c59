# Sourced by demo.sh and test.sh (bash).

# install_packages NAME...: the Debian packages among these that are not installed.
install_packages()
{
    local missing=() name root=() log
    if ! command -v dpkg-query >/dev/null; then
        echo "    this is no Debian system; needed are what Debian calls: $*"
        return 0
    fi
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] ||
            missing+=("$name")
    done
    if [ ${#missing[@]} -eq 0 ]; then
        echo "    all there"
        return 0
    fi
    echo "    installing: ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "    neither root nor sudo: please install them as root, then run this again" >&2
            return 1
        fi
        root=(sudo)
    fi
    log=$(mktemp)
    if ! { "${root[@]}" apt-get update &&
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        echo "    apt-get failed; its whole output: $log" >&2
        return 1
    fi
    rm -f "$log"
}

# unpack_packages ARCHITECTURE FOLDER NAME...: the files of these Debian packages, of another
# architecture, in FOLDER. apt works on lists of its own there: nothing is installed, the system's apt and
# dpkg know of no second architecture, and no root is needed.
unpack_packages()
{
    local architecture=$1 folder=$2 apt=$2/apt name
    shift 2
    [ "$(cat "$folder/unpacked" 2>/dev/null)" = "$architecture $*" ] && return 0
    if ! command -v apt-get dpkg-deb >/dev/null; then
        echo "    no apt-get here; needed are what Debian calls, for $architecture: $*"
        return 1
    fi
    rm -rf "$folder"
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/packages"
    local options=(-o "Dir::State=$PWD/$apt" -o "Dir::State::Lists=$PWD/$apt/lists"
        -o Dir::State::status=/dev/null -o "Dir::Cache=$PWD/$apt"
        -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture")
    if ! { apt-get "${options[@]}" update && (cd "$apt/packages" && apt-get "${options[@]}" download "$@"); } \
        >"$folder/log" 2>&1; then
        tail -n 10 "$folder/log"
        return 1
    fi
    for name in "$apt"/packages/*.deb; do dpkg-deb -x "$name" "$folder" || return 1; done
    rm -rf "$apt"
    echo "$architecture $*" >"$folder/unpacked"
}
