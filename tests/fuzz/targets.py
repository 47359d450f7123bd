"""What is fuzzed: everything that reads what others write. A target takes any bytes and raises only at a fault.

A target asserts what holds for every input: no exception but the documented ones, and whatever else its module
promises of its results. New targets go into ``TARGETS``, with a folder of the same name in ``corpus``.
"""

from __future__ import annotations

import gzip
import json
import math
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from eventproc import journal_entries
from eventproc.customer_index import CustomerIndex
from eventproc.delivery.java_keystore import JavaKeyStoreError, read_java_key_store
from eventproc.destinations import build_destinations
from eventproc.destinations.routes import build_routing_table
from eventproc.errors import PayloadError, StrkeyError
from eventproc.events import MAX_DEPTH, Event, Unreadable, decode
from eventproc.http.egress import EgressPolicy
from eventproc.http.response_reader import ResponseReader
from eventproc.order_guard import instant, updated_at
from eventproc.outcomes import Response, judge, retry_after_seconds
from eventproc.payloads import Sep, business_server_body, client_body
from eventproc.payloads.spans import joined_body, spanned_event, transaction_span
from eventproc.receiver import CallbackError, CallbackVerifier
from eventproc.receiver.diagnose import Evidence, NamedKey, diagnose
from eventproc.records import Source, internal_headers, read_origin
from eventproc.scrubbing import scrub
from eventproc.stellar_toml import StellarTomlError, parse_stellar_toml
from eventproc.strkey import base_account, decode_seed
from eventproc.watermark import MetadataError, PartitionProgress, decode_metadata
from settings import Settings, SettingsError, load_settings
from tests.golden.recorded import CONTEXT, NOW, TIMESTAMP_MS
from tests.servers.anchor_env import TEST_PUBLIC_KEY, TEST_SEED

Target = Callable[[bytes], None]

MAX_BYTES: Final = 1 << 16
"""Of one input. Larger ones are the limits' business, and slow."""

_SOURCE: Final = Source("TRANSACTION", 3, 12345, TIMESTAMP_MS)
_CLIENTS: Final = [
    {
        "name": "wallet",
        "type": "noncustodial",
        "domains": ["wallet.example"],
        "callback_urls": {f"sep{sep}": f"https://wallet.example/{sep}" for sep in (6, 12, 24, 31)},
    },
    {
        "name": "custodian",
        "type": "custodial",
        "signing_keys": [TEST_PUBLIC_KEY],
        "callback_urls": {"sep24": "https://custodian.example/"},
    },
]
_KEY: Final = 'an API key/with "odd" characters & more'


@cache
def _settings() -> Settings:
    env = {
        "CLIENTS_TYPE": "json",
        "CLIENTS_VALUE": json.dumps(_CLIENTS),
        "SECRET_SEP10_SIGNING_SEED": TEST_SEED,
    }
    return load_settings(env=env, dotenv_path=_empty_file())


@cache
def _empty_file() -> Path:
    path = Path(tempfile.mkdtemp(prefix="fuzz-")) / "empty"
    path.touch()
    return path


@cache
def _table() -> Any:
    return build_routing_table(_settings(), build_destinations(_settings()))


def decoding(data: bytes) -> None:
    """Step 1 to 3: an event or the reason; then routed, and its headers read back."""
    event = decode(data)
    if isinstance(event, Unreadable):
        assert event.detail
        return
    event.id.encode()
    event.lane_key.encode()
    route = _table().route(event, CustomerIndex())
    assert len(set(route.destinations)) == len(route.destinations) <= 2
    assert all(one.startswith("client.") for one in route.destinations)
    updated_at(event.transaction)
    origin = read_origin(internal_headers(event, _SOURCE, None, transaction_span(event)))
    assert (origin.event_id, origin.event_type) == (event.id, event.type.value)
    assert origin.source == _SOURCE


def payloads(data: bytes) -> None:
    """Step 5: every body is JSON, keeps what it is about, and is the same by the shorter way."""
    event = decode(data)
    if isinstance(event, Unreadable):
        return
    body = business_server_body(event, TIMESTAMP_MS)
    sent = json.loads(body, parse_float=str, parse_int=str)
    assert set(sent) == {"id", "timestamp", "type", "payload"}
    assert sent["id"] == event.id
    assert _depth(sent) <= MAX_DEPTH + 3
    span = transaction_span(event)
    origin = read_origin(internal_headers(event, _SOURCE, None, span))
    joined = joined_body(origin, event.raw, TIMESTAMP_MS)
    assert (joined is None) == (span is None)
    if joined is not None:
        assert orjson.loads(joined.payload) == orjson.loads(body)
    for sep in Sep:
        _one_payload(event, sep, None if span is None else spanned_event(origin, event.raw))


def _one_payload(event: Event, sep: Sep, short: Event | None) -> None:
    try:
        body = client_body(event, sep, CONTEXT, NOW)
    except PayloadError as error:
        assert str(error)
        return
    assert isinstance(orjson.loads(body), dict)
    if short is not None:
        assert client_body(short, sep, CONTEXT, NOW) == body


def configuration(data: bytes) -> None:
    """A YAML file, a .env and a list of clients of any content: settings, or all problems; never a traceback."""
    path = _empty_file().with_name("config.yaml")
    path.write_bytes(data)
    _loads(config_path=path, env={}, dotenv_path=_empty_file())
    _loads(env={}, dotenv_path=path)
    text = data.decode("utf-8", "replace")
    for kind in ("json", "yaml"):
        _loads(env={"CLIENTS_TYPE": kind, "CLIENTS_VALUE": text}, dotenv_path=_empty_file())


def _loads(**sources: Any) -> None:
    try:
        settings = load_settings(**sources)
    except SettingsError as error:
        assert error.problems
        assert all(problem.key and problem.wrong and problem.right for problem in error.problems)
        str(error).encode("utf-8", "replace")
    else:
        repr(settings)
        build_routing_table(settings, build_destinations(settings))


def response_headers(data: bytes) -> None:
    """What a receiver answers: a wait is None or seconds, whatever ``Retry-After`` says."""
    text = data.decode("latin-1")
    for now in (0.0, NOW, 4e9):
        seconds = retry_after_seconds(text, now)
        assert seconds is None or (seconds >= 0 and math.isfinite(seconds))
    status = int.from_bytes(data[:2].ljust(2, b"\0"), "big") % 900 + 100
    judge(Response(status, text, data), NOW)


def responses(data: bytes) -> None:
    """What a receiver's socket sends: a status or why there is none, the same however the bytes are cut."""
    cut = data[0] % 16 + 1 if data else 1
    whole, cut_up = _read_response(data[1:], MAX_BYTES), _read_response(data[1:], cut)
    assert (whole.status, bool(whole.problem)) == (cut_up.status, bool(cut_up.problem))
    for reader in (whole, cut_up):
        assert not (reader.status and reader.problem)
        assert reader.status == 0 or 200 <= reader.status <= 999
        assert reader.is_whole or not reader.is_reusable or not reader.problem
        assert len(reader.excerpt) <= 50
        reader.end()
        assert bool(reader.status) is not bool(reader.problem)
        assert reader.is_whole is bool(reader.status)


def _read_response(data: bytes, cut: int) -> ResponseReader:
    reader = ResponseReader(50)
    for start in range(0, len(data), cut):
        if not reader.is_whole and not reader.problem:
            reader.feed(data[start : start + cut])
    return reader


def signature_header(data: bytes) -> None:
    """The receiver's kit: any header and body is refused with a reason, as nobody here can sign."""
    head, _, body = data.partition(b"\n")
    verifier = CallbackVerifier(TEST_PUBLIC_KEY, "wallet.example", clock=lambda: NOW)
    for headers in ({"Signature": head.decode("latin-1")}, [(b"signature", head), (b"host", body[:50])]):
        try:
            verifier.verify(headers, body)
        except CallbackError as error:
            assert error.reason
            continue
        raise AssertionError("verified what was never signed")


def commit_metadata(data: bytes) -> None:
    """Whatever stands beside an offset: it is read, or left out."""
    text = data.decode("latin-1")
    for committed in (None, 5):
        try:
            progress = PartitionProgress(committed, text)
        except MetadataError:
            continue
        for offset in (committed or 0, (committed or 0) + 2):
            if progress.offer(offset, _SOURCE):
                progress.done(offset)
        point = progress.commit_point()
        if point is not None and point.metadata:
            assert len(point.metadata) <= 4096
            decode_metadata(point.metadata)


def journal(data: bytes) -> None:
    """A record of the attempts topic: entries that can be written again, or the reason why not."""
    lane = data[:8].hex() if len(data) % 2 else "t1"
    for value in (data, gzip.compress(data, 1)):
        try:
            entries = journal_entries.decode(value, lane)
        except journal_entries.JournalRecordError as error:
            assert str(error)
            continue
        again = journal_entries.decode(journal_entries.encode(entries, "w"), lane) if entries else []
        assert [one._replace(worker="") for one in again] == [one._replace(worker="") for one in entries]


def keys_and_hosts(data: bytes) -> None:
    """Text that says who somebody is or where: accounts, seeds, hosts, instants."""
    text = data.decode("utf-8", "replace")
    for read in (base_account, decode_seed):
        try:
            read(text)
        except StrkeyError as error:
            assert text not in str(error) or len(text) < 8
    policy = EgressPolicy(allow_private=False)
    assert not (policy.allows(text) and policy.forbids_host(text))
    instant(text)


def stores_and_tomls(data: bytes) -> None:
    """Files of others: Java's key stores, and stellar.toml."""
    for password in (None, "changeit"):
        try:
            read_java_key_store(data, password)
        except JavaKeyStoreError as error:
            assert str(error)
    try:
        parse_stellar_toml(data, "here")
    except StellarTomlError as error:
        assert str(error)


def scrubbing(data: bytes) -> None:
    """An answer with our key anywhere in it: the key is not in what is kept."""
    at = data[0] * len(data) // 256 if data else 0
    for form in (_KEY.encode(), json.dumps(_KEY)[1:-1].encode()):
        assert form not in scrub(data[:at] + form + data[at:], {"X-Api-Key": _KEY})


def diagnosis(data: bytes) -> None:
    """``eventproc verify``: any header and body get a diagnosis, within its bounds."""
    head, _, body = data[:2048].partition(b"\n")
    evidence = Evidence(head.decode("latin-1"), body, "wallet.example", [NamedKey(TEST_PUBLIC_KEY)])
    assert not diagnose(evidence, NOW).is_valid


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            member
            for one in level
            for member in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
        ]
    return depth


TARGETS: Final[dict[str, Target]] = {
    target.__name__: target
    for target in (
        decoding,
        payloads,
        configuration,
        response_headers,
        responses,
        signature_header,
        commit_metadata,
        journal,
        keys_and_hosts,
        stores_and_tomls,
        scrubbing,
        diagnosis,
    )
}
