# Shared by run and nightly: sections with times, and what a clean machine lacks.

began_s=$SECONDS
section_name=

# Ends the section before and begins another.
section() {
    section_end
    section_name=$1
    section_began_s=$SECONDS
    printf '\n=== %s\n' "$section_name"
}

section_end() {
    [ -z "$section_name" ] || printf '=== %s: %d s\n' "$section_name" $((SECONDS - section_began_s))
    section_name=
}

failed() {
    printf '\n=== FAILED in "%s" after %d s\n' "$section_name" $((SECONDS - began_s)) >&2
}

# Installs Debian's package; what is missing elsewhere is for the reader to install.
install() {
    if ! command -v apt-get >/dev/null; then
        echo "$1 is missing and there is no apt-get to install it with" >&2
        return 1
    fi
    local sudo=
    if [ "$(id -u)" -ne 0 ]; then sudo=sudo; fi
    if [ -z "${apt_updated:-}" ]; then
        $sudo apt-get update -qq
        apt_updated=yes
    fi
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1"
}

install_what_is_missing() {
    command -v cc >/dev/null || install gcc
    command -v python3 >/dev/null || install python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || install python3-venv
    command -v busybox >/dev/null || install busybox-static
    # The older of the two AWS CLIs that the tests drive; the newer one comes from PyPI.
    [ -x /usr/bin/aws ] || install awscli
    command -v docker >/dev/null || install docker.io
    docker info >/dev/null 2>&1 || service docker start || echo 'the Docker engine does not answer and cannot be started'
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
}

# Whether tests with Docker can run; under CI they must.
docker_answers() {
    if docker info >/dev/null 2>&1; then return 0; fi
    if [ -n "${CI:-}" ]; then
        echo "Docker does not answer, and under CI it must" >&2
        exit 1
    fi
    echo "SKIP: Docker does not answer"
    return 1
}

# Nothing that was started may be left: processes of this checkout, containers of Seawall.
nothing_left_behind() {
    local left= exe program
    for exe in /proc/[0-9]*/exe; do
        program=$(readlink "$exe" 2>/dev/null || true)
        case $program in "$PWD"/target/*) left+="process ${exe//[!0-9]/} $program"$'\n' ;; esac
    done
    if docker info >/dev/null 2>&1; then
        left+=$(docker ps --all --filter label=seawall.cluster-id --format 'container {{.ID}} {{.Names}}')
    fi
    if [ -n "$left" ]; then
        printf 'left behind:\n%s\n' "$left" >&2
        return 1
    fi
}
