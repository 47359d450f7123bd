"""Captured requests against those of a shadow worker: pairs them, and says what differs.

To the business server an event is known by its id. A wallet's body has none, and the Anchor Platform's no
``updated_at`` either: there, requests of one transaction with the same status belong together, those with
the same content first, the rest in their order. Surplus that repeats what was paired is a retry.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from eventproc.identifiers import DestinationId
from eventproc.shadow.compare import Comparison, Difference, Kind, parse_body, shown
from eventproc.shadow.proof import Proof
from eventproc.shadow.request import SentRequest
from eventproc.signed_text import EVENT_ID_HEADER
from eventproc.times import iso

NOT_ITS_OWN: Final = "not this client's, and no longer sent to it (delivery.client_routing)"
REFUNDS: Final = "the Anchor Platform fails on SEP-24 refunds"

IsFor: TypeAlias = Callable[[DestinationId, Mapping[str, Any]], bool]
"""Whether a transaction, as the business server gets it, is for a client's destination."""


class Subject(NamedTuple):
    """What a request is about: ``lane`` is kept in order, ``event`` tells its events apart."""

    lane: str
    event: str


@dataclass(frozen=True, slots=True)
class Found:
    """One difference and where it is."""

    destination: str
    subject: Subject
    difference: Difference


@dataclass(frozen=True, slots=True)
class Span:
    """One side: how many requests, from when to when."""

    count: int
    first: datetime | None
    last: datetime | None

    def to_json(self) -> dict[str, object]:
        """For ``--json``."""
        times = {"first": self.first, "last": self.last}
        return {"requests": self.count} | {name: at and iso(at) for name, at in times.items()}


@dataclass(frozen=True, slots=True)
class Report:
    """``found`` are the differences that nobody expects; ``expected`` counts the others by their reason."""

    there: Span
    here: Span
    paired: int = 0
    repeated: int = 0
    found: Sequence[Found] = ()
    expected: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "captured": self.there.to_json(),
            "shadow": self.here.to_json(),
            "paired": self.paired,
            "repeated": self.repeated,
            "expected": dict(self.expected),
            "differences": [
                {
                    "kind": one.difference.kind.value,
                    "destination": one.destination,
                    "about": one.subject.lane,
                    "event": one.subject.event,
                    "member": one.difference.path,
                    "captured": one.difference.there,
                    "shadow": one.difference.here,
                }
                for one in self.found
            ],
        }


@dataclass(frozen=True, slots=True)
class Rules:
    """How to compare: destinations with their URLs, the proof of a sender, what to ignore, whose is what."""

    urls: Mapping[DestinationId, str]
    proof: Proof = field(default_factory=Proof)
    ignored: Collection[str] = ()
    ignored_urls: Collection[str] = ()
    is_for: IsFor | None = None

    def destination_of(self, request: SentRequest) -> DestinationId | None:
        """Ours by its name; else by the whole URL; else by the path, where only one has it."""
        if request.destination is not None:
            return request.destination if request.destination in self.urls else None
        exact = [id_ for id_, url in self.urls.items() if url == request.url]
        wanted = _path(request.url)
        found = exact or [id_ for id_, url in self.urls.items() if _path(url) == wanted]
        return found[0] if len(found) == 1 else None


def diff(
    there: Iterable[SentRequest],
    here: Iterable[SentRequest],
    rules: Rules,
    evidence: Iterable[SentRequest] = (),
) -> Report:
    """Compare what was captured with what a shadow worker made.

    ``evidence`` is not compared: it may say whose a transaction is, as the business server's requests do.
    """
    captured = [one for one in there if not any(fnmatchcase(one.url, url) for url in rules.ignored_urls)]
    made = list(here)
    work = _Diff(rules, _own_transactions([*evidence, *captured, *made]))
    work.run(captured, made)
    expected = Counter(one.difference.expected for one in work.found if one.difference.expected is not None)
    return Report(
        _span(captured),
        _span(made),
        work.paired,
        work.repeated,
        [one for one in work.found if one.difference.expected is None],
        {str(reason): count for reason, count in expected.most_common()},
    )


def subject_of(request: SentRequest) -> Subject:
    """What the body is about; a body that is no JSON is about itself."""
    body = parse_body(request.body)
    body = body if isinstance(body, dict) else {}
    payload = body.get("payload")
    about = payload if isinstance(payload, dict) else body
    kinds = [
        about[kind] for kind in ("transaction", "quote", "customer") if isinstance(about.get(kind), dict)
    ]
    thing = kinds[0] if kinds else body
    lane = _text(thing.get("id"))
    if isinstance(payload, dict):
        return Subject(lane or _text(body.get("id")), _text(body.get("id")))
    return Subject(lane or request.body.decode("utf-8", "replace"), _text(thing.get("status")))


class _Numbered(NamedTuple):
    """A request at its place in its side."""

    place: int
    request: SentRequest


Group: TypeAlias = tuple[DestinationId, Subject]


class _Diff:
    """One comparison under way."""

    def __init__(self, rules: Rules, transactions: Mapping[str, Mapping[str, Any]]) -> None:
        self.found: list[Found] = []
        self.paired = 0
        self.repeated = 0
        self._rules = rules
        self._transactions = transactions
        self._lanes_here: defaultdict[str, set[DestinationId]] = defaultdict(set)
        self._order: defaultdict[tuple[DestinationId, str], list[tuple[int, int, str]]] = defaultdict(list)

    def run(self, captured: Sequence[SentRequest], made: Sequence[SentRequest]) -> None:
        there, here = self._grouped(captured), self._grouped(_once(made))
        self.repeated += len(made) - sum(map(len, here.values()))
        for destination, subject in here:
            self._lanes_here[subject.lane].add(destination)
        for group in dict.fromkeys([*there, *here]):
            self._compare(group, there.get(group, []), here.get(group, []))
        for (destination, lane), places in self._order.items():
            self._check_order(destination, lane, places)

    def _grouped(self, requests: Iterable[SentRequest]) -> dict[Group, list[_Numbered]]:
        groups: dict[Group, list[_Numbered]] = {}
        for place, request in enumerate(requests):
            subject = subject_of(request)
            destination = self._rules.destination_of(request)
            if destination is None:
                name = request.destination or request.url
                difference = Difference(Kind.UNASSIGNED, "", shown(name), None)
                self.found.append(Found(str(name), subject, difference))
            else:
                groups.setdefault((destination, subject), []).append(_Numbered(place, request))
        return groups

    def _compare(self, group: Group, there: list[_Numbered], here: list[_Numbered]) -> None:
        destination, subject = group
        how = Comparison(destination, self._rules.urls[destination], self._rules.proof, self._rules.ignored)
        pairs, left_there, left_here = _pairs(how, there, here)
        self.paired += len(pairs)
        for one, other in pairs:
            self._note(group, how.compare(one.request, other.request))
            self._order[destination, subject.lane].append((one.place, other.place, subject.event))
        for one in left_there:
            if any(how.is_same(one.request, other.request) for _, other in pairs):
                self.repeated += 1
                self._note(group, how.proofs(one.request))
            else:
                body = _brief(one.request)
                self._note(group, [Difference(Kind.MISSING, "", body, None, self._why_missing(group))])
        for other in left_here:
            why = REFUNDS if how.sep == "sep24" and _has_refunds(other.request) else None
            self._note(group, [Difference(Kind.EXTRA, "", None, _brief(other.request), why)])

    def _note(self, group: Group, differences: Iterable[Difference]) -> None:
        destination, subject = group
        self.found += [Found(destination, subject, one) for one in differences]

    def _why_missing(self, group: Group) -> str | None:
        """The Anchor Platform up to 4.3 sends every client everything; here a client receives its own."""
        destination, subject = group
        if self._rules.is_for is None or not destination.startswith("client."):
            return None
        transaction = self._transactions.get(subject.lane)
        if transaction is not None:
            return None if self._rules.is_for(destination, transaction) else NOT_ITS_OWN
        owners = {id_ for id_ in self._lanes_here[subject.lane] if id_.startswith("client.")}
        return NOT_ITS_OWN if owners and destination not in owners else None

    def _check_order(self, destination: DestinationId, lane: str, places: list[tuple[int, int, str]]) -> None:
        """The first event that a receiver gets after one that came later there."""
        latest = -1
        for _, here, event in sorted(places):
            if here < latest:
                there_order = " ".join(name for _, _, name in sorted(places))
                here_order = " ".join(name for _, _, name in sorted(places, key=lambda one: one[1]))
                difference = Difference(Kind.ORDER, "", there_order, here_order)
                self.found.append(Found(destination, Subject(lane, event), difference))
                return
            latest = here


def _pairs(
    how: Comparison, there: list[_Numbered], here: list[_Numbered]
) -> tuple[list[tuple[_Numbered, _Numbered]], list[_Numbered], list[_Numbered]]:
    """Pairs of one group, and what is left over on either side."""
    pairs, left_there, left_here = [], [], list(here)
    for one in there:
        same = next((other for other in left_here if how.is_same(one.request, other.request)), None)
        if same is None:
            left_there.append(one)
        else:
            left_here.remove(same)
            pairs.append((one, same))
    left = [
        one for one in left_there if not any(how.is_same(one.request, other.request) for _, other in pairs)
    ]
    retries = [one for one in left_there if one not in left]
    count = min(len(left), len(left_here))
    pairs += zip(left[:count], left_here[:count], strict=True)
    return pairs, retries + left[count:], left_here[count:]


def _once(made: Iterable[SentRequest]) -> Iterator[SentRequest]:
    """Each event of a destination once: after a crash a shadow worker, too, writes some again."""
    seen: set[tuple[DestinationId | None, str]] = set()
    for request in made:
        event_id = request.header(EVENT_ID_HEADER)
        if event_id is None or (request.destination, event_id) not in seen:
            seen.add((request.destination, event_id or ""))
            yield request


def _own_transactions(requests: Iterable[SentRequest]) -> dict[str, Mapping[str, Any]]:
    """Transactions as the business server gets them, by id: these say whose they are."""
    found: dict[str, Mapping[str, Any]] = {}
    for request in requests:
        body = parse_body(request.body)
        payload = body.get("payload") if isinstance(body, dict) else None
        transaction = payload.get("transaction") if isinstance(payload, dict) else None
        if isinstance(transaction, dict):
            found[_text(transaction.get("id"))] = transaction
    return found


def _has_refunds(request: SentRequest) -> bool:
    body = parse_body(request.body)
    transaction = body.get("transaction") if isinstance(body, dict) else None
    return isinstance(transaction, dict) and bool(transaction.get("refunds"))


def _span(requests: Sequence[SentRequest]) -> Span:
    times = [one.at for one in requests if one.at is not None]
    return Span(len(requests), min(times, default=None), max(times, default=None))


def _brief(request: SentRequest) -> str:
    text = request.body[:200].decode("utf-8", "replace")
    return text if len(request.body) <= 200 else f"{text}…"


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path or '/'}?{parts.query}"


def _text(value: object) -> str:
    return "" if value is None else str(getattr(value, "text", value))
