"""One form of a URL: by a table, by properties, and against the URL parser of Node.js, which is WHATWG's."""

from __future__ import annotations

import json
import os
import random
import shutil
import string
import subprocess
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings.urls import HttpUrl, UrlError, parse_http_url

FORMS = [
    ("http://WALLET.Test:8080/cb", "wallet.test:8080", "/cb"),
    ("http://wallet.test.:8080/cb", "wallet.test.:8080", "/cb"),
    ("HTTPS://wallet.test", "wallet.test", "/"),
    ("https://wallet.test?a=b", "wallet.test", "/?a=b"),
    ("  https://wallet.test/cb \n", "wallet.test", "/cb"),
    ("https://münchen.example/cb", "xn--mnchen-3ya.example", "/cb"),
    ("https://MÜNCHEN.example/cb", "xn--mnchen-3ya.example", "/cb"),
    ("https://XN--MNCHEN-3YA.example/cb", "xn--mnchen-3ya.example", "/cb"),
    ("https://faß.example/", "xn--fa-hia.example", "/"),
    ("https://日本語。jp:80/", "xn--wgv71a119e.jp:80", "/"),
    ("https://☕.example/", "xn--53h.example", "/"),
    ("https://w%61llet.test/", "wallet.test", "/"),
    ("http://wallet.test:80/cb", "wallet.test:80", "/cb"),
    ("https://wallet.test:443/cb", "wallet.test:443", "/cb"),
    ("http://wallet.test:/cb", "wallet.test", "/cb"),
    ("http://wallet.test:08080/cb", "wallet.test:8080", "/cb"),
    ("http://wallet.test:000000000080/cb", "wallet.test:80", "/cb"),
    ("http://[0:0:0:0:0:0:0:1]:8080/cb", "[::1]:8080", "/cb"),
    ("http://[2001:DB8::0:1]/cb", "[2001:db8::1]", "/cb"),
    ("http://[::ffff:192.0.2.1]/cb", "[::ffff:c000:201]", "/cb"),
    ("http://my_wallet.test:8080/cb", "my_wallet.test:8080", "/cb"),
    ("http://127.1:8080/cb", "127.0.0.1:8080", "/cb"),
    ("http://0x7f.1/cb", "127.0.0.1", "/cb"),
    ("http://017700000001/cb", "127.0.0.1", "/cb"),
    ("http://2130706433/cb", "127.0.0.1", "/cb"),
    ("http://1.2.65535/cb", "1.2.255.255", "/cb"),
    ("http://127.0.0.1./cb", "127.0.0.1", "/cb"),
    ("http://１２７.0.0.1/cb", "127.0.0.1", "/cb"),
    ("http://wallet.test/überweisung?q=ä b", "wallet.test", "/%C3%BCberweisung?q=%C3%A4%20b"),
    ("http://wallet.test/cb{x}|y", "wallet.test", "/cb%7Bx%7D%7Cy"),
    ("http://wallet.test/a[0]^`<>\"'", "wallet.test", "/a%5B0%5D%5E%60%3C%3E%22'"),
    ("http://wallet.test/cb?a[]=1|2&b=c d", "wallet.test", "/cb?a%5B%5D=1%7C2&b=c%20d"),
    ("http://wallet.test/cb?", "wallet.test", "/cb?"),
    ("http://wallet.test/cb?a=?&b=/:@", "wallet.test", "/cb?a=?&b=/:@"),
    ("http://wallet.test/cb%2Fx/%c3%a4/%7Euser", "wallet.test", "/cb%2Fx/%c3%a4/%7Euser"),
    ("http://wallet.test/100%/%zz?q=5%", "wallet.test", "/100%25/%25zz?q=5%25"),
    ("http://wallet.test/a/../b/./c", "wallet.test", "/b/c"),
    ("http://wallet.test/a/%2e%2E/b/..", "wallet.test", "/"),
    ("http://wallet.test/../../a", "wallet.test", "/a"),
    ("http://wallet.test/a\\b", "wallet.test", "/a/b"),
    ("http://wallet.test//a//b/", "wallet.test", "//a//b/"),
    ("http://wallet.test/cb#part", "wallet.test", "/cb"),
    ("http://wallet.test#part?no=query", "wallet.test", "/"),
    ("http://wallet.test/a;b=c,d", "wallet.test", "/a;b=c,d"),
]


@pytest.mark.parametrize(("text", "authority", "target"), FORMS)
def test_a_url_has_one_form(text: str, authority: str, target: str) -> None:
    url = parse_http_url(text)

    assert (url.authority, url.target) == (authority, target)
    assert parse_http_url(str(url)) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "wallet.test/cb",
        "//wallet.test/cb",
        "http:/wallet.test/cb",
        "http:wallet.test/cb",
        "ftp://wallet.test/cb",
        "http:///cb",
        "http://:80/cb",
        "http://xn--a.test/cb",  # decodes to a control character
        "http://xn--/cb",
        "http://xn--wallet-.test/cb",  # decodes to plain ASCII
        "http://xn--55555577.test/cb",
        "http://a..test/cb",
        "http://.test/cb",
        "http://" + "a" * 64 + ".test/cb",
        "http://" + "a." * 127 + "test/cb",
        "http://" + "ü" * 60 + ".test/cb",  # 64 characters in ASCII
        "http://wallet test/cb",
        "http://wallet%20.test/cb",
        "http://wallet%00.test/cb",
        "http://wallet%ff.test/cb",
        "http://wal<let.test/cb",
        "http://wal|let.test/cb",
        "http://wal^let.test/cb",
        "http://\u0301wallet.test/cb",  # begins with a combining mark
        "http://a\u200db.test/cb",  # a joiner where none may be
        "http://\u00ad/cb",  # nothing is left of it
        "http://1.2.3.4.5/cb",
        "http://256.0.0.1/cb",
        "http://1.2.3.09/cb",
        "http://1_0.1/cb",
        "http://1.2.65536/cb",
        "http://9999999999999999999999/cb",
        "http://4294967296/cb",
        "http://0xg.1/cb",
        "http://[::1/cb",
        "http://[::g]/cb",
        "http://[v1.a]/cb",
        "http://[fe80::1%25eth0]/cb",
        "http://::1/cb",
        "http://wallet.test:0/cb",
        "http://wallet.test:65536/cb",
        "http://wallet.test:18446744073709551696/cb",
        "http://wallet.test:-80/cb",
        "http://wallet.test:+80/cb",
        "http://wallet.test:8 0/cb",
        "http://wallet.test:８０/cb",
        "http://wallet.test:80:80/cb",
        "http://good.test\\@evil.test/cb",
        "http:\\\\wallet.test\\cb",
        "http://wallet.test/a\nb",
        "http://wallet.test/a\tb",
        "http://wallet.test/\ud800",
    ],
)
def test_what_cannot_be_dialled_is_refused(text: str) -> None:
    with pytest.raises(UrlError):
        parse_http_url(text)


PIECES = st.one_of(
    st.sampled_from(
        [
            *(
                "wallet",
                "WALLET",
                ".",
                "..",
                "-",
                "_",
                "xn--",
                "xn--mnchen-3ya",
                "ü",
                "ß",
                "İ",
                "\u200d",
                "日本",
                "。",
            ),
            *(
                "127",
                "0x7f",
                "1",
                "08",
                "[",
                "]",
                "::1",
                ":",
                ":80",
                "@",
                "%",
                "%2e",
                "%41",
                "%zz",
                "\\",
                "/",
                "?",
            ),
        ]
    ),
    st.text(max_size=3),
    st.text(string.printable, max_size=3),
)
NAMES = st.lists(st.sampled_from(["wallet", "Ü", "日本", "x_y", "a-b"]), min_size=1, max_size=4).map(".".join)
AUTHORITIES = st.one_of(NAMES, st.lists(PIECES, min_size=1, max_size=5).map("".join))
TAILS = st.lists(PIECES, max_size=5).map("".join)


@given(AUTHORITIES, TAILS)
def test_what_is_sent_is_plain_ascii_without_spaces_and_has_one_form(authority: str, tail: str) -> None:
    url = _parsed(f"http://{authority}/{tail}")
    if url is None:
        return

    line = f"{url.authority} {url.target}"

    assert line.isascii()
    assert line.isprintable()
    assert line.count(" ") == 1
    assert parse_http_url(str(url)) == url
    assert urlsplit(str(url)).netloc.rpartition("@")[2] == url.authority


def test_hosts_and_paths_are_those_of_a_whatwg_parser() -> None:
    """What both accept must name the same host, or the signature would be over another name than the Host."""
    if shutil.which("node") is None and not os.environ.get("CI"):
        pytest.skip("needs node")
    texts = [text for text, *_ in FORMS] + _generated_urls(2_000)
    ours = [(text, url) for text in texts if (url := _parsed(text)) is not None]

    theirs = _by_node([text for text, _ in ours])

    different = [
        (text, url.host, found["hostname"])
        for (text, url), found in zip(ours, theirs, strict=True)
        if found is not None and found["hostname"] != url.host
    ]
    assert different == []
    refused_by_node = [text for (text, _), found in zip(ours, theirs, strict=True) if found is None]
    assert refused_by_node == []
    assert len(ours) > 500


def _parsed(text: str) -> HttpUrl | None:
    try:
        return parse_http_url(text)
    except UrlError:
        return None


def _generated_urls(count: int) -> list[str]:
    draw = random.Random(7)
    hosts = [
        "wallet",
        "WALLET",
        "ü",
        "ß",
        "日本",
        "☕",
        "my_wallet",
        "a-b",
        "1",
        "0x7f",
        "127",
        "08",
        "xn--mnchen-3ya",
        "ﬁ",
    ]
    paths = [
        "a",
        "ü",
        "%2e",
        "..",
        ".",
        "%c3%a4",
        "|",
        "{}",
        "[]",
        "^",
        "'",
        '"',
        " ",
        "?",
        "&",
        "=",
        "+",
        "\\",
    ]
    return [
        f"http://{'.'.join(draw.choices(hosts, k=draw.randint(1, 4)))}"
        f"/{'/'.join(draw.choices(paths, k=draw.randint(0, 4)))}"
        for _ in range(count)
    ]


def _by_node(texts: list[str]) -> list[dict[str, str] | None]:
    program = """
        const texts = JSON.parse(require('fs').readFileSync(0, 'utf8'));
        const read = t => { try { const u = new URL(t); return {hostname: u.hostname}; } catch { return null; } };
        console.log(JSON.stringify(texts.map(read)));
    """
    done = subprocess.run(
        ["node", "-e", program],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: list[dict[str, str] | None] = json.loads(done.stdout)
    return found
