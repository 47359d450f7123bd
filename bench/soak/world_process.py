"""The outside world's process, and how the run controls it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from bench.controlled_process import ControlledProcess
from bench.soak.receivers import Fault
from bench.soak.world import STATE, WorldState
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.process import ChildProcess

_CHECKOUT: Final = Path(__file__).resolve().parents[2]
_READY_SECONDS: Final = 60.0
_ANSWER_SECONDS: Final = 90.0
"""A receiver that shall refuse first ends what hangs there."""


class WorldProcess(ControlledProcess):
    """Anchor and receivers; see ``world``.

    Args:
        bootstrap: ``host:port`` of the broker.
        topic: the source topic; it must exist.
        clients: how many wallets.
        nice: the process gives way to others by so much.
        log_file: what it says goes there.
    """

    def __init__(self, bootstrap: str, topic: str, *, clients: int, nice: int, log_file: Path) -> None:
        port = free_port()
        command = [sys.executable, "-m", "bench.soak.world", "--bootstrap", bootstrap, "--topic", topic]
        command += ["--clients", str(clients), "--port", str(port), "--nice", str(nice)]
        super().__init__(
            ChildProcess(command, log_file=log_file, cwd=_CHECKOUT),
            f"http://{LOOPBACK}:{port}",
            probe="/where",
            ready_seconds=_READY_SECONDS,
            answer_seconds=_ANSWER_SECONDS,
        )

    async def where(self) -> dict[str, str]:
        """Name of each receiver to its base URL."""
        found: dict[str, str] = await self._json("/where")
        return found

    async def state(self) -> WorldState:
        """What it has seen so far."""
        return STATE.validate_python(await self._json("/state"))

    async def set_rate(self, per_second: float) -> None:
        """Events a second from now on."""
        await self._tell("/rate", per_second=per_second)

    async def burst(self, events: int) -> None:
        """So many events, as fast as it goes."""
        await self._tell("/burst", events=events)

    async def fault(self, receiver: str, fault: Fault) -> None:
        """A receiver misbehaves from now on."""
        await self._tell("/fault", receiver=receiver, fault=fault.value)

    async def mend(self, receiver: str) -> None:
        """A receiver behaves again."""
        await self._tell("/mend", receiver=receiver)

    async def _json(self, path: str) -> Any:
        async with self.session.get(self.url + path) as response:
            response.raise_for_status()
            return await response.json()

    async def _tell(self, path: str, **what: object) -> None:
        async with self.session.post(self.url + path, json=what) as response:
            response.raise_for_status()
