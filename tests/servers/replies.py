"""How a receiver answers or misbehaves, and scripts that say when.

A script is a function of the request and its number (1 for the first) to a reply::

    Receiver(respond=first(3, status(503)))             # then 200
    Receiver(respond=for_event({bad_id: status(422)}))  # all others 200
    Receiver(respond=lambda record, number: Hang() if record.attempt == 1 else OK)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.servers.request_record import RequestRecord


@dataclass(frozen=True, slots=True)
class Answer:
    """A proper HTTP response, after a delay."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Hang:
    """Reads the request and never answers."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Answers when the test says so."""

    until: asyncio.Event
    then: Answer = field(default_factory=Answer)


@dataclass(frozen=True, slots=True)
class Reset:
    """Resets the connection (RST) instead of answering."""

    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Garbage:
    """Bytes that are no HTTP, then the end of the connection."""

    data: bytes = b"\x00\xffNOT HTTP AT ALL\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Drip:
    """A 200 whose body comes one byte at a time."""

    body_bytes: int = 10_000
    interval_seconds: float = 0.05
    status: int = 200


@dataclass(frozen=True, slots=True)
class Huge:
    """A response with a body of many bytes; how many were taken is in ``Receiver.body_bytes_sent``."""

    body_bytes: int = 1 << 30
    status: int = 200


Reply: TypeAlias = Answer | Hang | Hold | Reset | Garbage | Drip | Huge
Respond: TypeAlias = Callable[[RequestRecord, int], Reply]

OK = Answer()


def status(code: int, body: bytes = b"", *, delay_seconds: float = 0.0) -> Answer:
    """A response with this status."""
    return Answer(code, body=body, delay_seconds=delay_seconds)


def delay(seconds: float) -> Answer:
    """A 200 that takes its time."""
    return Answer(delay_seconds=seconds)


def retry_after(value: int | str, code: int = 503) -> Answer:
    """A refusal with ``Retry-After``: seconds, or a date as text."""
    return Answer(code, headers={"Retry-After": str(value)})


def redirect(location: str, code: int = 302) -> Answer:
    """A redirect to another URL."""
    return Answer(code, headers={"Location": location})


def always(reply: Reply) -> Respond:
    """The same reply to everything."""
    return lambda record, number: reply


def first(count: int, reply: Reply, then: Reply = OK) -> Respond:
    """One reply to the first requests, another to the rest."""
    return lambda record, number: reply if number <= count else then


def first_attempts(count: int, reply: Reply, then: Reply = OK) -> Respond:
    """One reply to the first attempts of every event, another to its later ones."""
    return lambda record, number: reply if record.attempt <= count else then


def sequence(*replies: Reply) -> Respond:
    """The replies in turn; the last one stays."""
    return lambda record, number: replies[min(number, len(replies)) - 1]


def for_event(replies: Mapping[str, Reply], otherwise: Reply = OK) -> Respond:
    """A reply by event id."""
    return lambda record, number: replies.get(record.event_id or "", otherwise)


def for_path(replies: Mapping[str, Reply], otherwise: Reply = OK) -> Respond:
    """A reply by path."""
    return lambda record, number: replies.get(record.path, otherwise)


def redirect_loop(record: RequestRecord, number: int) -> Reply:
    """A redirect to the same address, every time."""
    return redirect(record.path)
