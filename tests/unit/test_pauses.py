from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventproc.pauses import Pause, PauseBook, UnreadablePauseError, pause_value, read_pause

PAUSE = Pause("ann@ops", "their database moves", "2026-11-25T10:00:00Z")


def test_the_value_is_what_a_console_consumer_should_see() -> None:
    assert json.loads(pause_value(PAUSE)) == {
        "paused": True,
        "by": "ann@ops",
        "reason": "their database moves",
        "at": "2026-11-25T10:00:00Z",
    }


@given(st.builds(Pause, *[st.text(st.characters(exclude_categories=["Cs"]))] * 3))
def test_what_is_written_is_read_back(pause: Pause) -> None:
    assert read_pause(pause_value(pause)) == pause


def test_the_last_word_for_each_destination_counts() -> None:
    book = PauseBook()
    assert book.apply(b"a", pause_value(PAUSE)) == "a"
    assert book.apply(b"b", pause_value(PAUSE)) == "b"
    assert book.apply(b"a", None) == "a"
    assert dict(book.paused) == {"b": PAUSE}
    again = Pause("bob", "", "")
    book.apply(b"b", pause_value(again))
    assert dict(book.paused) == {"b": again}


@pytest.mark.parametrize("value", [None, b"", b'{"paused":false,"by":"x"}'])
def test_a_tombstone_and_a_plain_no_resume(value: bytes | None) -> None:
    book = PauseBook()
    book.apply(b"a", pause_value(PAUSE))
    book.apply(b"a", value)
    assert not book.paused


@pytest.mark.parametrize("value", [b"{", b"[]", b"null", b"{}", b'{"paused":"yes"}', b"\xff"])
def test_what_cannot_be_read_changes_nothing(value: bytes) -> None:
    book = PauseBook()
    book.apply(b"a", pause_value(PAUSE))
    with pytest.raises(UnreadablePauseError):
        book.apply(b"a", value)
    assert dict(book.paused) == {"a": PAUSE}


def test_a_record_without_a_key_speaks_of_nobody() -> None:
    book = PauseBook()
    assert book.apply(None, pause_value(PAUSE)) is None
    assert not book.paused
