"""The processes of a `seawall dev`, by its folder."""

import json
import os
import pathlib
import signal
import urllib.request

from .clients import ENDPOINTS, client
from .waiting import until

BOARD = pathlib.Path(os.environ["SEAWALL_DEV_DIR"]) / "dev.json"


def _servers():
    return [p for p in json.loads(BOARD.read_text())["processes"] if p["role"] == "server"]


def leader():
    """The endpoint of the member that leads."""

    def look():
        for endpoint in ENDPOINTS:
            try:
                with urllib.request.urlopen(f"{endpoint}/leader", timeout=2) as answer:
                    name = answer.read().decode().strip()
            except OSError:
                continue
            found = [p["endpoint"] for p in _servers() if p["name"] == name]
            if found:
                return found[0]
        return None

    return until("a member leads", look)


def name_of(endpoint):
    """The member's name, which is also dev's short name of its zone."""
    return next(p["name"] for p in _servers() if p["endpoint"] == endpoint)


def kill(endpoint):
    """Ends a member as a power cut does; dev starts it again after a while."""
    pid = next(p["pid"] for p in _servers() if p["endpoint"] == endpoint)
    os.kill(pid, signal.SIGKILL)


def all_serve():
    """Waits until every member answers."""

    def answers(endpoint):
        try:
            return client(endpoint, retries={"max_attempts": 0}).list_clusters()
        except Exception:  # noqa: BLE001 - whatever it is, it does not serve
            return None

    for endpoint in ENDPOINTS:
        until(f"{endpoint} serves", lambda endpoint=endpoint: answers(endpoint))
