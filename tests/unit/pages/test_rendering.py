"""Values to text: bounded, visible, escaped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from agents.pages.paging import cut
from agents.pages.rendering import address, duration, excerpt, lines, moment, rate, render, with_query
from agents.pages.sparkline import sparkline
from eventproc.delivery.history import Minutes
from tests.unit.pages.site import check_html


@given(st.text(st.characters(), max_size=400))
def test_what_is_shown_is_visible_and_bounded(text: str) -> None:
    shown = excerpt(text, 100)
    assert all(char.isprintable() for char in shown)
    assert len(shown) <= 100 * len(r"\U0010ffff") + 30
    assert shown.startswith(text[:1]) or not text[:1].isprintable() or not text


@given(st.text(st.characters(), max_size=200))
def test_a_value_never_becomes_markup(text: str) -> None:
    chrome = {
        "worker": text, "url": URL("/x"), "section": "x", "can_log_in": True, "operator": None,
        "refresh": None, "can_refresh": None,
    }  # fmt: skip
    check_html(render("error.html", chrome | {"facts": {"status": 404, "error": text}}))


def test_a_name_that_the_context_lacks_is_a_fault_and_not_an_empty_place() -> None:
    with pytest.raises(Exception, match="undefined"):
        render("login.html", {})


@given(st.lists(st.text(st.characters(), max_size=30), min_size=1, max_size=2))
def test_an_address_is_one_path_of_ours_or_none(names: list[str]) -> None:
    found = address("/things/", *names)
    if found is None:
        assert set(names) & {"", ".", ".."}
    else:
        assert found.isascii()
        assert found.count("/") == 1 + len(names)
        assert not any(char in found for char in "?#\r\n <>\"'")


def test_what_is_too_long_for_a_request_line_gets_no_address() -> None:
    assert address("/things/", "x" * 2001) is None


def test_lines_are_cut_in_number_and_length() -> None:
    shown = lines(["x" * 5000, *["y"] * 5000])
    assert len(shown) < 8000
    assert "(5,000 characters)" in shown
    assert shown.endswith("… (5,001 lines)")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.0, "0 ms"), (0.0342, "34 ms"), (3.46, "3.5 s"), (60, "1 min"), (185, "3 min 5 s"),
     (3600, "1 h"), (7900, "2 h 11 min"), (90_000, "1 d 1 h"), (1e8, "1,157 d 9 h")],
)  # fmt: skip
def test_durations_read_well(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(0, "0"), (0.0001, "< 0.01"), (0.5, "0.5"), (1.256, "1.26"), (12.6, "13"), (12_345, "12,345")],
)
def test_rates_read_well(per_second: float, text: str) -> None:
    assert rate(per_second) == text


def test_moments_are_what_they_say() -> None:
    assert moment("2026-11-25T16:14:08.155Z") == "2026-11-25 16:14:08"
    assert moment("2026-11-25T16:14:08.155Z", 3) == "2026-11-25 16:14:08.155"
    assert moment(None) == "–"


def test_a_query_is_changed_and_the_rest_kept() -> None:
    url = URL("/destinations/?state=up&q=a%26b&page=3")
    assert with_query(url, page=None, sort="lag") == "/destinations/?state=up&q=a%26b&sort=lag"


@pytest.mark.parametrize(
    ("asked", "number", "first", "last"),
    [(None, 1, 1, 10), ("2", 2, 11, 20), ("3", 3, 21, 25), ("99", 3, 21, 25), ("0", 1, 1, 10), ("-1", 1, 1, 10),
     ("x", 1, 1, 10), ("²", 1, 1, 10), ("9" * 5000, 3, 21, 25)],
)  # fmt: skip
def test_a_page_is_the_nearest_there_is(asked: str | None, number: int, first: int, last: int) -> None:
    page = cut(range(25), asked, 10)
    assert (page.number, page.pages, page.first, page.last, page.total) == (number, 3, first, last, 25)
    assert list(page.rows) == list(range(first - 1, last))


def test_a_page_of_nothing() -> None:
    nothing: list[int] = []
    page = cut(nothing, "7")
    assert (page.number, page.pages, page.first, page.last) == (1, 1, 0, 0)


def test_a_sparkline_has_a_bar_for_each_minute_with_something_and_none_sticks_out() -> None:
    text = str(sparkline(Minutes([0] * 58 + [5, 100_000], [1] + [0] * 58 + [3])))
    assert text.count('class="delivered"') == 2
    assert text.count('class="failed"') == 2
    assert "100,005 delivered and 4 failed" in text
    assert "style=" not in text
    assert str(sparkline(Minutes([0] * 60, [0] * 60))).count("<rect") == 0
