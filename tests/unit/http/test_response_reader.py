"""The reader of responses: what it makes of any bytes, however they are cut, and whenever they end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventproc.http.response_head import ReadHead, read_head
from eventproc.http.response_reader import RESPONSE_BYTES, ResponseReader

EXCERPT_BYTES = 100

_LINES = st.lists(
    st.sampled_from(
        [
            *(b"Content-Length: 2", b"Content-Length: 3", b"content-length : 2", b"Content-Length: x"),
            *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Connection: close"),
            *(b"Connection: keep-alive", b"Connection: upgrade", b"Upgrade: h2c", b" folded", b"No colon"),
            *(b": no name", b"A B: space", b"A: \x00", b"A: \xff", b"Retry-After: 5", b"Trailer: X"),
        ]
    )
    | st.binary(min_size=1, max_size=20).map(lambda line: line.replace(b"\n", b"n").strip(b"\r") or b"A: b"),
    max_size=8,
)
_STATUS_LINES = st.tuples(
    st.sampled_from([b"HTTP/1.1 ", b"HTTP/1.0 ", b"http/1.1 ", b"HTTP/2 ", b"HTTP/1.1\t", b"HTTP/9.9  "]),
    st.integers(200, 999),
    st.sampled_from([b"", b" ", b" OK", b" \xc3\x9cber", b" a\x00b", b"  x"]),
)
_TAILS = st.binary(max_size=40) | st.sampled_from(
    [b"ok", b"2\r\nok\r\n0\r\n\r\n", b"zz\r\n", b"HTTP/1.1 500 No\r\n\r\n", b"\r\n\r\n"]
)
_ENDS = st.sampled_from([b"\r\n", b"\n"])
_CUTS = st.integers(1, 64)
_INTERIM = st.sampled_from(
    [b"", b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nA: b\r\nC: d\r\n\r\n" * 2]
)


def read(data: bytes, cut: int) -> ResponseReader:
    reader = ResponseReader(EXCERPT_BYTES)
    for start in range(0, len(data), cut):
        if reader.is_whole or reader.problem:
            break
        reader.feed(data[start : start + cut])
    return reader


@given(interim=_INTERIM, status_line=_STATUS_LINES, lines=_LINES, end=_ENDS, tail=_TAILS, cut=_CUTS)
def test_a_complete_head_is_an_answer_whatever_follows_it(
    *,
    interim: bytes,
    status_line: tuple[bytes, int, bytes],
    lines: list[bytes],
    end: bytes,
    tail: bytes,
    cut: int,
) -> None:
    version, status, reason = status_line
    head = interim + end.join((b"%b%d%b" % (version, status, reason), *lines, b"", b""))
    reader = read(head + tail, cut)
    assert (reader.status, reader.problem) == (status, "")
    assert len(reader.excerpt) <= EXCERPT_BYTES
    reader.end()
    assert reader.is_whole
    for length in range(len(head) - len(end), len(interim), -max(1, len(head) // 5)):
        short = read(head[:length], cut)
        assert short.status == 0
        short.end()
        assert short.problem


@given(st.binary(max_size=60), _CUTS)
def test_any_bytes_have_the_same_verdict_however_they_are_cut(data: bytes, cut: int) -> None:
    whole, cut_up = read(data, len(data) or 1), read(data, cut)
    assert (whole.status, bool(whole.problem)) == (cut_up.status, bool(cut_up.problem))


@given(_STATUS_LINES, _LINES, _ENDS, _TAILS)
def test_a_head_that_is_read_here_is_one_that_the_parser_takes(
    status_line: tuple[bytes, int, bytes], lines: list[bytes], end: bytes, tail: bytes
) -> None:
    version, status, reason = status_line
    head = read_head(end.join((b"%b%d%b" % (version, status, reason), *lines, b"", b"")) + tail)
    assert isinstance(head, ReadHead)
    assert head.status == status
    reader = read(head.clean, 1)
    assert reader.status == status
    assert not reader.is_reusable


def test_what_a_response_may_have_is_bounded_to_the_byte() -> None:
    head = b"HTTP/1.1 200 OK\r\n"
    fits = head + b"A: " + b"b" * (RESPONSE_BYTES - len(head) - 3 - 4) + b"\r\n\r\n"
    assert len(fits) == RESPONSE_BYTES
    assert read(fits, 4096).status == 200
    over = read(head + b"A: b" + fits[len(head) + 3 :], 4096)
    assert over.status == 0
    assert "128 KiB" in over.problem


def test_each_response_has_the_bound_for_itself() -> None:
    reader = ResponseReader(EXCERPT_BYTES)
    for _ in range(3):
        reader.begin()
        reader.feed(
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: " + b"b" * (RESPONSE_BYTES * 2 // 3) + b"\r\n\r\n"
        )
        assert reader.is_whole
        assert reader.is_reusable


def test_only_a_response_that_leaves_nothing_behind_is_followed_by_another() -> None:
    for reusable, answer in (
        (True, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        (True, b"HTTP/1.1 204 No\r\n\r\n"),
        (True, b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n"),
        (True, b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"),
        (False, b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (False, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (False, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!"),
        (False, b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n"),
        (False, b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (False, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
        (False, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    ):
        reader = read(answer, len(answer))
        assert reader.is_whole, answer
        assert reader.is_reusable is reusable, answer


def test_headers_that_are_kept_come_from_the_final_head_whichever_reads_it() -> None:
    interim = b"HTTP/1.1 103 Hints\r\nRetry-After: 1\r\n\r\n"
    for broken in (b"", b"A B: c\r\n"):
        reader = read(interim + b"HTTP/1.1 503 No\r\nRETRY-AFTER:  7 \r\n" + broken + b"\r\n", 5)
        assert reader.status == 503
        assert reader.headers[b"retry-after"].strip() == b"7"
