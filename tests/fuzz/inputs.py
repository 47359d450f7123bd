"""Where inputs come from: the kept corpus, the recorded samples, and strategies that know a target's grammar."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st

from eventproc.events import EventType
from tests.golden.recorded import load_samples
from tests.servers.anchor_env import TEST_PUBLIC_KEY

CORPUS: Final = Path(__file__).parent / "corpus"
_OF_EVENTS: Final = ("decoding", "payloads")


def kept(target: str) -> dict[str, bytes]:
    """The corpus of a target by file name, and for events the recorded samples."""
    found = {path.name: path.read_bytes() for path in sorted((CORPUS / target).iterdir())}
    if target in _OF_EVENTS:
        found |= {f"sample {sample.name}": sample.value for sample in load_samples()}
    return found


def keep(target: str, data: bytes, prefix: str) -> Path:
    """Add an input, to be tried in every test run from now on."""
    path = CORPUS / target / f"{prefix}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


_texts = st.text(max_size=12) | st.sampled_from(
    ["24", "wallet", "wallet.example", TEST_PUBLIC_KEY, "2026-11-24T10:00:00Z", "1.10", "\ud800", "\x00", "é"]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)
_NAMES: Final = (
    "id sep kind status type amount_in amount_out amount_expected fee_details quote_id started_at updated_at"
    " message refunds stellar_transactions source_account destination_account memo memo_type client_domain"
    " client_name customers creator required_info_updates required_info_message instructions fundingMethod"
    " withdraw_anchor_account amount asset total details payments sender receiver account fields"
).split()
_objects = st.dictionaries(st.sampled_from(_NAMES) | _texts, _json, max_size=12)
_deep = st.recursive(
    _json, lambda inner: st.dictionaries(st.sampled_from(_NAMES), inner, max_size=4), max_leaves=20
)
_events = st.fixed_dictionaries(
    {"id": _texts, "type": st.sampled_from([kind.value for kind in EventType])},
    optional={
        "sep": _json,
        "clientName": _json,
        "clientDomain": _json,
        "transaction": st.dictionaries(st.sampled_from(_NAMES), _deep, max_size=20) | _json,
        "customer": _objects | _json,
        "quote": _objects | _json,
    },
)
_signatures = st.builds(
    "t={}, s={}".format,
    st.integers() | st.text(max_size=12),
    st.binary(min_size=64, max_size=64).map(lambda raw: base64.b64encode(raw).decode())
    | st.text(max_size=90),
)
_dates = st.datetimes().map(lambda when: when.strftime("%a, %d %b %Y %H:%M:%S GMT"))
_of_responses = (
    st.sampled_from(
        [
            *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 503 No\n", b"http/2 204\r\n", b"HTTP/1.1 100 Go\r\n\r\n"),
            *(b"HTTP/1.1 101 Switching\r\n", b"Upgrade: h2c\r\n", b"Connection: upgrade\r\n", b"\r\n", b"\n"),
            *(
                b"Content-Length: 2\r\n",
                b"Content-Length: -1\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b" a\r\n",
            ),
            *(
                b"A B: c\r\n",
                b"Retry-After: 5\r\n",
                b"ok",
                b"2\r\nok\r\n0\r\n\r\n",
                b"2\r\n",
                b"0\r\n",
                b"HTTP/",
            ),
        ]
    )
    | st.integers(0, 1100).map(lambda status: b"HTTP/1.1 %d OK\r\n" % status)
    | st.binary(max_size=6)
)
_yaml = st.dictionaries(
    st.sampled_from(["events", "clients", "delivery", "sep24", "callback_api", "topics", "items", "value"]),
    _deep,
    max_size=4,
)


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


STRATEGIES: Final[dict[str, st.SearchStrategy[bytes]]] = {
    "decoding": (_events | _json).map(_encoded),
    "payloads": _events.map(_encoded),
    "configuration": (_yaml | _json).map(_encoded)
    | st.text().map(lambda text: text.encode("utf-8", "replace")),
    "response_headers": _dates.map(str.encode) | st.integers().map(lambda number: str(number).encode()),
    "responses": st.tuples(st.binary(min_size=1, max_size=1), st.lists(_of_responses, max_size=12)).map(
        lambda pair: pair[0] + b"".join(pair[1])
    ),
    "signature_header": st.tuples(_signatures, _json).map(
        lambda pair: pair[0].encode("utf-8", "replace") + b"\n" + _encoded(pair[1])
    ),
    "diagnosis": st.tuples(_signatures, _json).map(
        lambda pair: pair[0].encode("utf-8", "replace") + b"\n" + _encoded(pair[1])
    ),
    "journal": st.lists(st.lists(_json, max_size=12), max_size=4).map(
        lambda rows: _encoded([1, "w", [["attempt", ["t1", *row]] for row in rows]])
    ),
    "keys_and_hosts": (_texts | st.ip_addresses().map(str)).map(lambda text: text.encode("utf-8", "replace")),
}
"""Beside plain bytes, which every target gets, too."""


def strategy(target: str) -> st.SearchStrategy[bytes]:
    """What a target is tried with."""
    own = STRATEGIES.get(target)
    return st.binary() if own is None else own | st.binary()
