"""Whether a customer's update has the content that its receiver got last.

For ``delivery.skip_unchanged_customers``: the platform can publish an update twice, for the wallet's request
and for the business server's, without a change between them. A body for SEP-12 is the customer's whole
state, so one that equals the last delivered brings nothing new; the digest is of the exact bytes. What is
skipped by mistake is lost, so a content counts as the receiver's last only as long as that is certain:

- It is remembered on 2xx alone, and forgotten when the next attempt begins: a request without an answer may
  have been accepted.
- It is forgotten when partitions are handed over, as another worker may deliver to the receiver meanwhile,
  and when the destination is configured again, as the URL may be another receiver's.

What is not known is sent. The alternative, digests in a topic, would also skip after a restart, for a second
topic and a write for each delivery.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from typing import Final, TypeAlias

from eventproc.identifiers import LaneKey

REMEMBERED_CUSTOMERS: Final = 50_000
"""Of all destinations together, some 350 bytes each; those delivered least recently are forgotten."""

_Key: TypeAlias = "tuple[int, LaneKey]"


class DeliveredContents:
    """The digests of what a worker delivered last, by customer and ``UnchangedFilter``."""

    def __init__(self, remembered_customers: int = REMEMBERED_CUSTOMERS) -> None:
        self.terms = count()
        """A number for each time for which a filter's memory is good."""
        self._digests: OrderedDict[_Key, bytes] = OrderedDict()
        self._limit = remembered_customers

    def __len__(self) -> int:
        return len(self._digests)

    def get(self, key: _Key) -> bytes | None:
        """Return the digest of the last content delivered, None when it is not known."""
        return self._digests.get(key)

    def put(self, key: _Key, digest: bytes) -> None:
        """Remember what was delivered last."""
        self._digests[key] = digest
        self._digests.move_to_end(key)
        if len(self._digests) > self._limit:
            self._digests.popitem(last=False)

    def forget(self, key: _Key) -> None:
        """Remember nothing for this key."""
        self._digests.pop(key, None)


@dataclass(frozen=True, slots=True)
class SentContent:
    """A content that is on its way to the receiver."""

    contents: DeliveredContents
    key: _Key
    digest: bytes

    def delivered(self) -> None:
        """Remember it: the receiver has accepted it."""
        self.contents.put(self.key, self.digest)


class UnchangedFilter:
    """What one destination's receiver got last."""

    def __init__(self, contents: DeliveredContents) -> None:
        self._contents = contents
        self._term = next(contents.terms)

    def is_unchanged(self, lane: LaneKey, payload: bytes) -> bool:
        """Return whether the receiver certainly has this content already, and none after it."""
        known = self._contents.get((self._term, lane))
        return known is not None and known == sha256(payload).digest()

    def sending(self, lane: LaneKey, payload: bytes) -> SentContent:
        """Forget what the receiver got last: from now on it may have this content, or still the other."""
        key = (self._term, lane)
        self._contents.forget(key)
        return SentContent(self._contents, key, sha256(payload).digest())

    def forget_all(self) -> None:
        """Know nothing of any customer; what is on its way now is not remembered either."""
        self._term = next(self._contents.terms)
