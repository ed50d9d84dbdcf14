#!/bin/sh
# Faults in the cluster of compose.yaml, a zone at a time:
#
#   docker/zone.sh kill b      power: scheduler, agent and the zone's task containers are killed
#   docker/zone.sh cut b       off the wide network: they live on and are silent to the other zones
#   docker/zone.sh wipe b      power, and the disks of the zone's scheduler and agent are lost as well
#   docker/zone.sh return b    back, whatever was done to it
set -eu

usage() {
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[ $# -eq 2 ] || usage
verb=$1
zone=$2
case $zone in a | b | c) ;; *) usage ;; esac
cd "$(dirname "$0")"
if docker compose version >/dev/null 2>&1; then compose='docker compose'; else compose=docker-compose; fi
# Compose names a project after the folder of its file.
project=${COMPOSE_PROJECT_NAME:-docker}
scheduler=s-$zone
agent=i-$zone

container() {
    docker ps --all --quiet --filter "label=com.docker.compose.project=$project" \
        --filter "label=com.docker.compose.service=$1"
}

# The zone's tasks live on the host's engine beside the containers of compose; the agent's labels tell whose they are.
tasks() {
    docker ps --quiet --filter "label=seawall.instance-id=$agent"
}

kill_zone() {
    for id in $(container "$scheduler") $(container "$agent") $(tasks); do
        # One that is down already cannot be killed, and need not be.
        if [ "$(docker inspect --format '{{.State.Running}}' "$id")" = true ]; then
            docker kill "$id" >/dev/null
        fi
    done
}

on_wide() {
    docker inspect --format '{{range $name, $_ := .NetworkSettings.Networks}}{{println $name}}{{end}}' "$1" |
        grep -qx "${project}_wide"
}

cut_off() {
    for service in "$scheduler" "$agent"; do
        id=$(container "$service")
        if on_wide "$id"; then docker network disconnect "${project}_wide" "$id"; fi
    done
}

wipe() {
    kill_zone
    $compose rm --force --stop "$scheduler" "$agent"
    docker volume rm "${project}_$scheduler" "${project}_$agent" >/dev/null
}

bring_back() {
    for service in "$scheduler" "$agent"; do
        id=$(container "$service")
        if [ -n "$id" ] && ! on_wide "$id"; then
            # Compose gives each container its service's name; a reconnected one needs it again.
            docker network connect --alias "$service" "${project}_wide" "$id"
        fi
    done
    $compose up --detach --no-recreate "$scheduler" "$agent"
}

case $verb in
    kill) kill_zone ;;
    cut) cut_off ;;
    wipe) wipe ;;
    return) bring_back ;;
    *) usage ;;
esac
echo "zone $zone: $verb done; next: seawall status" >&2
