#!/bin/sh
# Builds the image where no registry of images is in reach, on a base that debootstrap makes, and
# tries it as docs/DEPLOY.md runs it: another user, a read-only root, its health check, an event
# stored and found again after a stop and a start.
#
#   dev/image.sh FOLDER [OPTION...]    FOLDER keeps the base; OPTION: of `buildah build`, as
#                                      --volume and --env for a machine's own way to packages
#
# As root. Packages: debootstrap buildah podman runc openssl. What the machine forbids a container
# (limits, cgroups) is for CONTAINERS_CONF to say.
set -eu
folder=$(realpath -m "$1")
shift
cd "$(dirname "$0")/.."
name=holdfast-trial etc=$folder/etc

inside() { podman exec "$name" "$@"; }

told() { # the last words of the container, if a step fails
    podman logs "$name" 2>&1 | tail -n 20
    exit 1
}

wait_for() { # a page to be good
    for _ in $(seq 60); do
        inside python3 /opt/holdfast/healthy.py "$1" >/dev/null 2>&1 && return
        sleep 1
    done
    echo "$1 is not good after a minute" >&2
    told
}

mkdir -p "$folder"
if ! podman image exists holdfast-base; then
    rm -rf "$folder/base"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm \
        "$folder/base" >"$folder/debootstrap.log"
    tar -C "$folder/base" --exclude=./var/cache/apt/archives --exclude=./var/lib/apt/lists -c . |
        podman import --quiet - holdfast-base
fi
# The format of OCI has no health checks.
buildah build --format docker --file deploy/Dockerfile --build-arg BASE=localhost/holdfast-base \
    --tag holdfast "$@" .

rm -rf "$etc"
mkdir -m 0755 "$etc"
echo 'quorum = 2' >"$etc/holdfast.toml" # three directories in the node's volume
openssl rand -hex 32 >"$etc/token"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$etc/tls.key" -out "$etc/tls.crt" 2>/dev/null
chmod a+r "$etc"/*

trap 'podman rm --force --volumes "$name" >/dev/null' EXIT
podman run --detach --name "$name" --network none --read-only --tmpfs /tmp --cap-drop ALL \
    --security-opt no-new-privileges --volume "$etc:/etc/holdfast:ro" \
    --volume /var/lib/holdfast --stop-timeout 150 holdfast >/dev/null
wait_for /readyz
podman healthcheck run "$name" || told
[ "$(inside id -u)" = 10001 ]
inside grep -Eq '^[^ ]+ / [^ ]+ ro,' /proc/mounts || told
server="--server https://localhost:8420 --ca-file /etc/holdfast/tls.crt --token-file /etc/holdfast/token"
# shellcheck disable=SC2086  # options
inside holdfast send $server --action image.tried --actor "$name" || told
podman stop "$name" >/dev/null
[ "$(podman inspect --format '{{.State.ExitCode}}' "$name")" = 0 ] || told
podman start "$name" >/dev/null
wait_for /readyz
# shellcheck disable=SC2086
[ "$(inside holdfast search $server --actor "$name" --ndjson | wc -l)" = 1 ] || told
echo "the image was tried: $(podman image inspect --format '{{.Size}}' holdfast) bytes," \
    "of which $(podman image inspect --format '{{.Size}}' holdfast-base) are its base"
