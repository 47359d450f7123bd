"""What is written past the log, and what a library hands to it, in the form of the log."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import click
import pytest

from eventproc.logs import MOST_LISTED, OneLineHandler, install_handler, level_number, make_handler
from eventproc.process_output import LoggedLines


class TP(NamedTuple):
    """As Faust's and aiokafka's: a partition."""

    topic: str
    partition: int


@pytest.fixture
def log_file() -> Iterator[io.StringIO]:
    stream, level = io.StringIO(), logging.root.level
    handler = make_handler("json", stream)
    install_handler(handler, logging.INFO)
    yield stream
    logging.root.removeHandler(handler)
    logging.root.setLevel(level)


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_written_in_parts_is_one_event(log_file: io.StringIO) -> None:
    out = LoggedLines("stdout", logging.INFO)
    out.write("a")
    out.write("b\n\n  \nc\nd")
    assert [one["text"] for one in events(log_file)] == ["ab", "c"]
    out.close()
    out.write("after the end\n")
    assert [one["text"] for one in events(log_file)[2:]] == ["d", "after the end"]
    assert {(one["event"], one["stream"]) for one in events(log_file)} == {("output.written", "stdout")}


def test_it_is_written_at_whatever_level_the_log_is(log_file: io.StringIO) -> None:
    logging.root.setLevel(logging.CRITICAL)
    LoggedLines("stderr", logging.WARNING).write("usage\n")
    assert [one["text"] for one in events(log_file)] == ["usage"]


def test_click_takes_it_for_a_stream_of_text(log_file: io.StringIO) -> None:
    stream: Any = LoggedLines("stderr", logging.WARNING)
    click.echo("ünïcode", file=stream)
    assert [one["text"] for one in events(log_file)] == ["ünïcode"]


@pytest.mark.parametrize(
    ("message", "args", "text"),
    [
        ("Subscribed to %s", (frozenset({"b", "a"}),), "Subscribed to a, b"),
        ("Setting assignment to %r", ({TP("t", 1), TP("t", 0)},), "Setting assignment to 't/0, t/1'"),
        ("Positions: %s", ({TP("t", 1): 5},), "Positions: t/1: 5"),
        ("%(topic)s is new", ({"topic": "t"},), "t is new"),
        ("none: %s", (set(),), "none: none"),
        ("Assigned %s", ([f"t{number:04}" for number in range(1000)],), "and 990 more"),
        ("100%", (), "100%"),
    ],
)
def test_collections_of_a_library_are_one_short_line(
    log_file: io.StringIO, message: str, args: tuple[Any, ...], text: str
) -> None:
    assert MOST_LISTED == 10
    logging.getLogger("foreign").warning(message, *args)
    (one,) = events(log_file)
    assert text in one["event"]
    assert len(one["event"]) < 200


def test_what_cannot_be_formatted_is_still_one_object(log_file: io.StringIO) -> None:
    (ours,) = [one for one in logging.root.handlers if isinstance(one, OneLineHandler)]
    ours.handle(
        logging.makeLogRecord({"name": "foreign", "msg": "%d", "args": ("no number",)})
    )  # pytest's raises
    log = logging.getLogger("foreign")
    log.warning("odd values", extra={"a": {(1, 2): 3}, "b": float("nan")})
    log.warning("line\nbreak")
    first, second, third = events(log_file)
    assert (first["event"], first["logger"]) == ("log.failed", "foreign")
    assert (second["a"], second["b"]) == ("{(1, 2): 3}", "nan")
    assert third["event"] == "line\nbreak"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("CRIT", 50),
        ("critical", 50),
        ("warn", 30),
        ("WARNING", 30),
        ("debug", 10),
        ("?", 20),
        (15, 15),
        (None, 30),
    ],
)
def test_levels_of_faust_and_of_the_settings(name: str | int | None, number: int) -> None:
    assert level_number(name) == number
