"""The program itself: its commands, and `seawall proxy` before all members."""

import contextlib
import os
import socket
import subprocess
import urllib.request

from .clients import ENDPOINTS
from .waiting import until

PROGRAM = os.environ["SEAWALL_PROGRAM"]


def seawall(*words):
    subprocess.run([PROGRAM, *words], check=True, capture_output=True, timeout=60)


@contextlib.contextmanager
def proxy():
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    servers = ",".join(endpoint.removeprefix("http://") for endpoint in ENDPOINTS)
    process = subprocess.Popen(
        [PROGRAM, "proxy", "--listen", address, "--server", servers],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until("the proxy serves", lambda: answers(f"http://{address}"))
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


def answers(endpoint):
    try:
        with urllib.request.urlopen(f"{endpoint}/leader", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False
