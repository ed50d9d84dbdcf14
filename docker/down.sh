#!/bin/sh
# Ends the cluster of compose.yaml for good: its containers, networks and volumes, and the task containers of its agents, which live
# on the engine beside them and outlive the cluster otherwise. Their control groups, empty then, are root's to remove, and gone
# when the host is booted again.
set -eu
cd "$(dirname "$0")"
if docker compose version >/dev/null 2>&1; then compose='docker compose'; else compose=docker-compose; fi

$compose down --volumes
for agent in i-a i-b i-c; do
    tasks=$(docker ps --all --quiet --filter "label=seawall.instance-id=$agent")
    # Unquoted: one word a container.
    if [ -n "$tasks" ]; then docker rm --force --volumes $tasks >/dev/null; fi
    for group in /sys/fs/cgroup/seawall/*-"$agent" /sys/fs/cgroup/*/seawall/*-"$agent"; do
        if [ -d "$group" ] && [ "$(id -u)" = 0 ]; then rmdir "$group"; fi
    done
done
