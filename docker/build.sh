#!/bin/sh
# Builds the image `seawall:dev` (or $SEAWALL_IMAGE) from a static binary, and the secret that compose.yaml mounts.
# The binary is linked against the C library of this machine, so only Rust's own target and a static libc are needed.
set -eu

cd "$(dirname "$0")/.."
image=${SEAWALL_IMAGE:-seawall:dev}
target=x86_64-unknown-linux-gnu
case $(uname -m) in
    x86_64) ;;
    aarch64) target=aarch64-unknown-linux-gnu ;;
    *) echo "build.sh: no static target is set for $(uname -m)" >&2; exit 2 ;;
esac

echo "building a static seawall for $target (a first build takes about 10 minutes on two cores)" >&2
# The flags go by target: build scripts and macros are still linked dynamically, as they must be.
flags=CARGO_TARGET_$(echo "$target" | tr 'a-z-' 'A-Z_')_RUSTFLAGS
if ! env "$flags=-C target-feature=+crt-static" cargo build --release --locked -p seawall-cli --target "$target"; then
    cat >&2 <<END
build.sh: the static build failed. If the linker misses libc.a, install it (Debian: libc6-dev; Fedora: glibc-static).
A dynamic binary would not start in an image FROM scratch, so none is used instead.
END
    exit 1
fi

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp "${CARGO_TARGET_DIR:-target}/$target/release/seawall" "$context/seawall"
strip "$context/seawall" 2>/dev/null || echo "build.sh: no strip: the image keeps its symbols" >&2
docker build --tag "$image" --file docker/Dockerfile "$context"

if [ ! -e docker/secret ]; then
    "$context/seawall" secret new docker/secret
fi
echo "built $image; next: docker-compose -f docker/compose.yaml up -d" >&2
