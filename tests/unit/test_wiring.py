"""What the composition root makes, it also starts."""

from __future__ import annotations

from dataclasses import fields

import pytest
from mode import Service

from agents.wiring import create_app
from settings import load_settings


@pytest.mark.parametrize("mode", ["deliver", "shadow"])
async def test_every_service_of_a_worker_is_started(mode: str) -> None:
    """The counter of waiting dead letters was made and never started, so its metric had no rows."""
    env = {
        "EVENTS_ENABLED": "true",
        "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true",
        "DELIVERY_MODE": mode,
        "DELIVERY_ON_DEAD_LETTER": "hold_transaction",
    }
    app = create_app(load_settings(env=env))
    parts = {field.name: getattr(app.parts, field.name) for field in fields(app.parts)}

    not_started = [
        name
        for name, part in parts.items()
        if isinstance(part, Service) and not any(part is one for one in app.foundation)
    ]

    assert not_started == []
    assert len(app.foundation) > 10
