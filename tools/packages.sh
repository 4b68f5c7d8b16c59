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
