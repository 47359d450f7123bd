"""Free loopback ports for servers that tests stop and start again."""

from __future__ import annotations

import os
import random
import socket

LOOPBACK = "127.0.0.1"

# Below the kernel's ephemeral range (32768 and up). A client that reconnects to a stopped server on a port
# inside that range can be given this very port as its own and connect to itself; the server then cannot
# come back ("address already in use"), which shows as a rare failure of restart tests.
_LOWEST, _HIGHEST = 20_000, 32_000
_handed_out: set[int] = set()

# Several processes of one test run have ports of their own: what one has given away and not used is free to see.
_RUN_OF = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def free_port() -> int:
    """A port on which nothing listens now and which this process has not been given before."""
    for _ in range(1_000):
        port = random.randrange(_LOWEST + _NUMBER, _HIGHEST, _RUN_OF)
        if port not in _handed_out and _can_bind(port):
            _handed_out.add(port)
            return port
    raise OSError(f"no free port between {_LOWEST} and {_HIGHEST} on {LOOPBACK}")


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
