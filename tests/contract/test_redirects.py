"""Where a redirect leads is reported, and nothing of it that may be a token."""

from __future__ import annotations

import pytest

from eventproc.destinations import Endpoint
from eventproc.outcomes import Response
from settings import load_settings
from tests.contract.senders import MakeSender
from tests.servers.receiver import Receiver
from tests.servers.replies import Answer


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://u:secret@a.test/new?token=secret#secret", "https://a.test/new"),
        ("/login?next=secret", "/login"),
        ("//[secret", "a URL that cannot be read"),
    ],
)
async def test_a_redirect_has_its_location_and_its_date(
    make_sender: MakeSender, location: str, shown: str
) -> None:
    async with Receiver(respond=lambda _record, _number: Answer(302, {"Location": location})) as receiver:
        sender = make_sender(Endpoint(receiver.url), load_settings(env={}).delivery)
        result = await sender.send({}, b"body")
        await sender.close()
        assert len(receiver.requests) == 1
    assert isinstance(result, Response)
    assert result.location == shown
    assert result.date is not None, "the server sends one"
