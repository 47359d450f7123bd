"""What destinations have accepted, kept as long as a test lasts."""

from __future__ import annotations

from dataclasses import dataclass, field

from eventproc.acceptance import AcceptanceBook, Mark, accepted_record, rejecting_record
from eventproc.identifiers import DestinationId


@dataclass
class FakeAcceptances:
    """A topic that everybody has read to its end."""

    book: AcceptanceBook = field(default_factory=AcceptanceBook)
    written: list[tuple[bytes, bytes]] = field(default_factory=list)

    def accepted(self, destination: DestinationId, mark: Mark) -> None:
        known = self.book.accepted.get(destination)
        if known is None or known.fingerprint != mark.fingerprint:
            self._write(*accepted_record(destination, mark))

    def rejected(self, destination: DestinationId, mark: Mark) -> None:
        known = self.book.rejecting.get(destination)
        if known is None or known.fingerprint != mark.fingerprint:
            self._write(*rejecting_record(destination, mark))

    def _write(self, key: bytes, value: bytes) -> None:
        self.written.append((key, value))
        self.book.apply(key, value)
