"""The hosts that a test makes: their cables, and that nothing of them stays."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require_namespaces
from tests.servers.network import Cable, Host, Network
from tests.servers.worker import CHECKOUT

NAMESPACES = Path("/run/netns")
PATIENCE_SECONDS = 15.0
"""The first packets of a connection may be lost until neighbours are found (again); more are sent."""

OWN = Path("/proc/thread-self/ns/net")


@pytest.fixture
def network() -> Iterator[Network]:
    require_namespaces()
    with Network(hosts=2) as network:
        yield network


def test_nothing_goes_through_a_pulled_cable(network: Network) -> None:
    host, other = network.hosts
    for to in (other.inner, other.outer, network.world.inner):
        assert _reaches(network, host, to, PATIENCE_SECONDS)
    network.unplug(host, Cable.INNER)
    assert not _reaches(network, host, other.inner)
    assert not _reaches(network, other, host.inner)
    assert _reaches(network, host, other.outer, PATIENCE_SECONDS)
    assert _reaches(network, other, network.world.inner, PATIENCE_SECONDS)
    network.plug(host, Cable.INNER)
    assert _reaches(network, host, other.inner, PATIENCE_SECONDS)


def test_only_who_is_inside_is_inside(network: Network) -> None:
    (host, _), before = network.hosts, OWN.readlink()
    with network.inside(host):
        assert OWN.readlink() != before
    assert OWN.readlink() == before


def test_nothing_stays_of_a_network(network: Network) -> None:
    left = subprocess.Popen([*network.hosts[0].enter, "sleep", "60"])
    try:
        # Only in its namespace can it be found.
        there = NAMESPACES / network.hosts[0].namespace
        while not there.samefile(f"/proc/{left.pid}/ns/net"):
            assert left.poll() is None
        network.close()
        assert left.wait(10) < 0
        assert network.left_over() == []
    finally:
        left.kill()
        left.wait()


def test_what_a_killed_test_has_left_goes_with_the_next_one() -> None:
    require_namespaces()
    code = "import os; from tests.servers.network import Network; Network(1).__enter__(); os._exit(9)"
    killed = subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT)
    try:
        # Ended, though nobody has asked for its exit code yet: it has an entry in /proc still.
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
        assert _namespaces_of(killed.pid)
        with Network(hosts=0):
            pass
        assert not _namespaces_of(killed.pid)
    finally:
        assert killed.wait(30) == 9


def _namespaces_of(pid: int) -> list[str]:
    return [path.name for path in NAMESPACES.iterdir() if path.name.startswith(f"eventproc-{pid}-")]


def _reaches(network: Network, host: Host, address: str, seconds: float = 1.0) -> bool:
    """Whether a packet gets there and an answer back: nobody listens, so the answer is a refusal."""
    with network.inside(host), socket.socket() as client:
        client.settimeout(seconds)
        try:
            client.connect((address, 9))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    raise AssertionError(f"somebody listens at {address}")
