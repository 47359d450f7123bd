"""The implementations of ``Sender`` that keep the contract, and what aiohttp's public API cannot keep of it.

Each test of the contract runs on all of them, but those in ``AIOHTTP_CANNOT``, which only our own connection passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from eventproc.destinations import Endpoint
from eventproc.http.aiohttp_sender import AiohttpSender
from eventproc.http.sender import HttpSender, Sender
from settings.delivery import DeliverySettings

MakeSender: TypeAlias = Callable[[Endpoint, DeliverySettings], Sender]

SENDERS: Final[Mapping[str, MakeSender]] = MappingProxyType({"own": HttpSender, "aiohttp": AiohttpSender})

_UNBOUNDED = "it bounds no interim response, empty line, chunk size, chunk extension or trailer"
_STRICT = "a fault behind the head ends the response, and its status with it"
_UNASKED = "what comes while nothing is asked is taken for the next request's response"
_LEARNS = "idle connections are kept for one time, whatever the receiver does"
_FLOOD = "test_what_never_ends_takes_bounded_time_and_memory"

AIOHTTP_CANNOT: Final[Mapping[str, str]] = MappingProxyType(
    {
        f"{_FLOOD}[interim responses]": _UNBOUNDED,
        f"{_FLOOD}[empty lines]": _UNBOUNDED,
        f"{_FLOOD}[a chunk's size]": _UNBOUNDED,
        f"{_FLOOD}[a chunk's extension]": _UNBOUNDED,
        f"{_FLOOD}[trailers]": _UNBOUNDED,
        "test_a_flood_does_not_hold_up_another_receiver[interim responses]": _UNBOUNDED,
        "test_a_flood_does_not_hold_up_another_receiver[empty lines]": _UNBOUNDED,
        "test_an_answer_that_comes_while_nothing_is_asked_is_not_the_next_request_s": _UNASKED,
        "test_a_body_that_breaks_off_in_nonsense_changes_no_status": _STRICT,
        "test_a_receiver_is_taken_at_when_it_closed_an_idle_connection": _LEARNS,
    }
)
"""Test, perhaps with a parameter -> what aiohttp does. They are not run on it."""
