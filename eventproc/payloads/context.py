"""What a wallet's body needs beside the event."""

from __future__ import annotations

from dataclasses import dataclass, field

from eventproc.auth.jwt import Hs256


@dataclass(frozen=True, slots=True)
class MoreInfoUrl:
    """How one SEP's ``more_info_url`` is made (``sepN.more_info_url``).

    ``txn_fields`` names members of the transaction, in snake case, that go into the token's ``data``.
    Raises ConfigurationError for a secret that cannot sign.
    """

    base_url: str
    jwt_secret: bytes = field(repr=False)
    expiration_seconds: int
    txn_fields: tuple[str, ...] = ()
    tokens: Hs256 = field(init=False, repr=False, compare=False)
    around_query: tuple[str, str] = field(init=False, repr=False, compare=False)
    """``base_url`` up to where a query goes, and what follows it."""

    def __post_init__(self) -> None:
        # Made at once: an unusable secret stops the start, not every single delivery.
        object.__setattr__(self, "tokens", Hs256(self.jwt_secret))
        address, hash_sign, fragment = self.base_url.partition("#")
        before = address + ("&" if "?" in address else "?")
        object.__setattr__(self, "around_query", (before, hash_sign + fragment))


@dataclass(frozen=True, slots=True)
class PayloadContext:
    """The settings that bodies depend on; None where the secret is missing, and the member with it.

    ``client_name`` is the client the body goes to, for events that do not name it.
    """

    more_info_sep6: MoreInfoUrl | None
    more_info_sep24: MoreInfoUrl | None
    client_name: str | None = None
