"""Two requests about one event, member by member: what differs, and what is known to.

``there`` is what was captured, ``here`` what the shadow worker made. A difference that the documents tell of
has its reason with it, and counts as expected.
"""

from __future__ import annotations

import enum
import fnmatch
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from eventproc.events import Number
from eventproc.identifiers import DestinationId
from eventproc.shadow.proof import Proof, read_token
from eventproc.shadow.request import SentRequest
from eventproc.signed_text import EVENT_ID_HEADER, SIGNATURE_HEADER, signed_host
from eventproc.times import read_time

SHOWN_CHARACTERS: Final = 200

LEFT_OUT: Final = "the Anchor Platform leaves it out"
SENT_AT: Final = "the time of sending there, of publishing here"
NULLS: Final = "null on one side, left out on the other"

_LEFT_OUT_THERE: Final = {
    "sep6": {"updated_at", "user_action_required_by", "withdraw_anchor_account", "status_eta"},
    "sep24": {
        *("stellar_transaction_id", "updated_at", "user_action_required_by", "claimable_balance_id"),
        *("withdraw_anchor_account", "refunds"),
    },
    "sep31": {"stellar_transaction_id", "updated_at", "refunded", "user_action_required_by"},
}
"""Members of the transaction that the SEP defines and only we send."""

_OF_THE_WAY: Final = frozenset(
    {
        *(
            "host",
            "user-agent",
            "accept",
            "accept-encoding",
            "accept-language",
            "connection",
            "content-length",
        ),
        *(
            "transfer-encoding",
            "via",
            "forwarded",
            "traceparent",
            "tracestate",
            "x-event-redriven",
            "x-real-ip",
        ),
        *("keep-alive", "cache-control", "pragma"),
    }
)
"""Headers that the HTTP client or a proxy makes."""

_AGEING_CLAIMS: Final = {"exp", "iat", "nbf"}


class Kind(enum.Enum):
    """What is different."""

    BODY = "body"
    HEADER = "header"
    PROOF = "proof"
    MISSING = "missing"
    EXTRA = "extra"
    ORDER = "order"
    UNASSIGNED = "unassigned"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; ``there`` and ``here`` are texts to read, None where there is nothing.

    ``path`` has dots between names and places in lists: ``transaction.refunds.payments.0.id``,
    ``header.content-type``. ``expected`` says why it is known to differ.
    """

    kind: Kind
    path: str
    there: str | None
    here: str | None
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """How to compare for one destination; ``ignored`` are paths or globs, with what is below them."""

    destination: DestinationId
    url: str
    proof: Proof = field(default_factory=Proof)
    ignored: Collection[str] = ()

    @property
    def sep(self) -> str:
        """``sep24``; nothing for the business server."""
        name = self.destination.rpartition(".")[2]
        return name if name.startswith("sep") else ""

    def compare(self, there: SentRequest, here: SentRequest) -> list[Difference]:
        """Everything that differs and is not ignored."""
        found = [*self._bodies(there.body, here.body), *self._headers(there, here), *self.proofs(there)]
        return [one for one in found if not self._is_ignored(one.path)]

    def is_same(self, there: SentRequest, here: SentRequest) -> bool:
        """Whether the bodies differ in nothing but what is expected or ignored."""
        bodies = self._bodies(there.body, here.body)
        return all(one.expected is not None or self._is_ignored(one.path) for one in bodies)

    def proofs(self, there: SentRequest) -> Iterator[Difference]:
        """Whether what was captured is signed as we would sign it."""
        if there.is_right is False:
            problem: str | None = "its receiver found it not right"
        elif there.headers is None:
            return
        elif self.sep:
            problem = self.proof.signature_problem(there, {signed_host(self.url)})
        else:
            problem = self.proof.auth_problem(there)
        if problem is not None:
            name = SIGNATURE_HEADER if self.sep else self.proof.auth_header
            yield Difference(Kind.PROOF, f"header.{name.lower()}", problem, None)

    def _bodies(self, there: bytes, here: bytes) -> Iterator[Difference]:
        parsed = parse_body(there), parse_body(here)
        if parsed[0] is UNREADABLE or parsed[1] is UNREADABLE:
            if there != here:
                yield Difference(Kind.BODY, "", _shown_bytes(there), _shown_bytes(here))
            return
        for path, one, other in _members(*parsed, ""):
            yield from self._member(path, one, other)

    def _member(self, path: str, there: Any, here: Any) -> Iterator[Difference]:
        if path == "transaction.more_info_url" and isinstance(there, str) and isinstance(here, str):
            yield from self._links(path, there, here)
            return
        expected = None
        if _is_nothing(there) and _is_nothing(here):
            expected = NULLS
        elif path == "timestamp" and not self.sep and _is_time(there) and _is_time(here):
            expected = SENT_AT
        elif there is ABSENT and path.partition("transaction.")[2] in _LEFT_OUT_THERE.get(self.sep, ()):
            expected = LEFT_OUT
        yield Difference(Kind.BODY, path, shown(there), shown(here), expected)

    def _links(self, path: str, there: str, here: str) -> Iterator[Difference]:
        """A link's address and what its token says; the token's age and signature must differ."""
        parts = [_link(one) for one in (there, here)]
        for name in ("address", "transaction_id", "claims"):
            one, other = (part[name] for part in parts)
            if one != other:
                yield Difference(Kind.BODY, f"{path}.{name}", shown(one), shown(other))
        problem = self.proof.link_problem(self.sep, parts[0]["token"])
        if problem is not None:
            yield Difference(Kind.PROOF, f"{path}.token", problem, None)

    def _headers(self, there: SentRequest, here: SentRequest) -> Iterator[Difference]:
        if there.headers is None or here.headers is None:
            return
        for name in sorted({key.lower() for key in (*there.headers, *here.headers)}):
            if name in _OF_THE_WAY or name.startswith("x-forwarded-"):
                continue
            one, other = there.header(name), here.header(name)
            if one is None or other is None:
                expected = LEFT_OUT if name == EVENT_ID_HEADER.lower() and one is None else None
                yield Difference(Kind.HEADER, f"header.{name}", _present(one), _present(other), expected)
            elif name == "content-type" and _media_type(one) != _media_type(other):
                yield Difference(Kind.HEADER, f"header.{name}", one, other)

    def _is_ignored(self, path: str) -> bool:
        return any(
            path == one or path.startswith(f"{one}.") or fnmatch.fnmatchcase(path, one)
            for one in self.ignored
        )


class _Absent(enum.Enum):
    ABSENT = enum.auto()


class _Unreadable(enum.Enum):
    UNREADABLE = enum.auto()


ABSENT: Final = _Absent.ABSENT
UNREADABLE: Final = _Unreadable.UNREADABLE


def parse_body(body: bytes) -> Any:
    """The body as JSON, numbers by their own text; ``UNREADABLE`` when it is none."""
    try:
        return json.loads(body, parse_float=Number, parse_int=Number, parse_constant=Number)
    except (ValueError, RecursionError):
        return UNREADABLE


def shown(value: Any) -> str | None:
    """A member as text, cut where it is long."""
    if value is ABSENT:
        return None
    text = json.dumps(value, ensure_ascii=False, default=lambda number: number.text)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _members(there: Any, here: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Every place where the two differ, as deep as both have something there."""
    if isinstance(there, dict) and isinstance(here, dict):
        for name in {**there, **here}:
            yield from _members(there.get(name, ABSENT), here.get(name, ABSENT), _below(path, name))
    elif isinstance(there, list) and isinstance(here, list):
        for place in range(max(len(there), len(here))):
            one = there[place] if place < len(there) else ABSENT
            other = here[place] if place < len(here) else ABSENT
            yield from _members(one, other, _below(path, str(place)))
    elif type(there) is not type(here) or there != here:
        yield path, there, here


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_nothing(value: Any) -> bool:
    return value is None or value is ABSENT


def _is_time(value: Any) -> bool:
    return isinstance(value, Number) or (isinstance(value, str) and read_time(value) is not None)


def _link(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    claims = read_token(query.get("token", ""), None)
    if isinstance(claims, dict):
        claims = {name: value for name, value in claims.items() if name not in _AGEING_CLAIMS}
    return {
        "address": f"{parts.scheme}://{parts.netloc}{parts.path}",
        "transaction_id": query.get("transaction_id"),
        "claims": claims,
        "token": query.get("token", ""),
    }


def _present(value: str | None) -> str | None:
    """That it is there; not what it says, as it may be a secret."""
    return None if value is None else "there"


def _media_type(value: str) -> str:
    return "".join(value.lower().replace('"', "").split())


def _shown_bytes(body: bytes) -> str:
    return body[:SHOWN_CHARACTERS].decode("utf-8", "replace")
