"""Every test here with both senders, on both event loops: uvloop does TLS and closes connections in its own way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.contract.senders import AIOHTTP_CANNOT, SENDERS, MakeSender

FOLDER = Path(__file__).parent


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops by name."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=SENDERS)
def make_sender(request: pytest.FixtureRequest) -> MakeSender:
    """A sender of one implementation."""
    return SENDERS[request.param]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what aiohttp cannot do, and aiohttp on uvloop: what differs by loop is tried with our own."""
    left_out = [item for item in items if _is_left_out(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def _is_left_out(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    parameters = set() if call is None else set(call.id.split("-"))
    if "aiohttp" not in parameters or item.path.parent != FOLDER:
        return False
    name = item.name.partition("[")[0]
    cannot = {name, *(f"{name}[{parameter}]" for parameter in parameters)}
    return "uvloop" in parameters or bool(cannot & AIOHTTP_CANNOT.keys())
