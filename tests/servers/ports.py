"""Free loopback ports for servers that tests stop and start again."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"

# Below the kernel's ephemeral range (32768 and up). A client that reconnects to a stopped server on a port
# inside that range can be given this very port as its own and connect to itself; the server then cannot
# come back ("address already in use"), which shows as a rare failure of restart tests.
_LOWEST, _HIGHEST = 20_000, 32_000
_handed_out: set[int] = set()


def free_port() -> int:
    """A port on which nothing listens now and which this process has not been given before."""
    for _ in range(1_000):
        port = random.randint(_LOWEST, _HIGHEST)
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
