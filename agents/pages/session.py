"""Who may act: the admin token, what a browser holds in its place, and how often one may guess.

::

    token ── POST /login ──> cookie  <end>.<random>.<HMAC>      nothing is kept here, so any worker with the
      │                        └──> form token: HMAC(cookie)    same token knows it, also after a restart
      └── Authorization: Bearer, for scripts

Both keys are derived from the token, so a new token ends every session. A cookie cannot be taken back before
its end otherwise; that is why the end is near.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from aiolimiter import AsyncLimiter
from pydantic import SecretStr

COOKIE: Final = "eventproc_session"
SESSION_SECONDS: Final = 2 * 3600
FAILURES: Final = 5
FAILURES_OF_ALL: Final = 100
FAILURE_SECONDS: Final = 60.0
_ADDRESSES: Final = 1000


@dataclass(frozen=True, slots=True)
class Operator:
    """Who has shown the token; ``form_token`` is None for a script, which no other site can make call us."""

    form_token: str | None


OPERATOR: Final[ContextVar[Operator | None]] = ContextVar("operator", default=None)
"""Who asks for the page that is being made; the guard sets it for each request."""


class Sessions:
    """Of one admin token; ``wall`` gives seconds since the epoch."""

    def __init__(self, token: SecretStr, wall: Callable[[], float]) -> None:
        self._digest = hashlib.sha256(_bytes(token.get_secret_value())).digest()
        self._cookie_key = _derived(token, b"eventproc session")
        self._form_key = _derived(token, b"eventproc form")
        self._wall = wall

    def is_token(self, given: str) -> bool:
        """Whether this is the token; takes as long for any other of its length."""
        return hmac.compare_digest(hashlib.sha256(_bytes(given)).digest(), self._digest)

    def open(self) -> str:
        """The value of a new session's cookie."""
        head = f"{int(self._wall()) + SESSION_SECONDS}.{secrets.token_hex(16)}"
        return f"{head}.{_seal(self._cookie_key, head)}"

    def operator(self, cookie: str) -> Operator | None:
        """Who holds this cookie; None when we did not make it, or its time is over."""
        head, _, seal = cookie.rpartition(".")
        if not hmac.compare_digest(_bytes(seal), _bytes(_seal(self._cookie_key, head))):
            return None
        return Operator(_seal(self._form_key, cookie)) if int(head.partition(".")[0]) > self._wall() else None


class Guesses:
    """Counts wrong tokens, by address and in all; who has used them up is not even compared."""

    def __init__(self) -> None:
        self._all = AsyncLimiter(FAILURES_OF_ALL, FAILURE_SECONDS)
        self._by_address: OrderedDict[str, AsyncLimiter] = OrderedDict()

    def may_try(self, address: str) -> bool:
        """Whether a token from there is looked at now."""
        own = self._by_address.get(address)
        return self._all.has_capacity() and (own is None or own.has_capacity())

    async def failed(self, address: str) -> None:
        """A wrong token came from there; ``may_try`` was true just now."""
        if address not in self._by_address and len(self._by_address) >= _ADDRESSES:
            self._by_address.popitem(last=False)
        own = self._by_address.setdefault(address, AsyncLimiter(FAILURES, FAILURE_SECONDS))
        await own.acquire()
        await self._all.acquire()


def is_form_token(operator: Operator, given: str) -> bool:
    """Whether a form was made for this session."""
    return operator.form_token is not None and hmac.compare_digest(_bytes(operator.form_token), _bytes(given))


def _derived(token: SecretStr, purpose: bytes) -> bytes:
    return hmac.digest(_bytes(token.get_secret_value()), purpose, "sha256")


def _seal(key: bytes, text: str) -> str:
    return hmac.new(key, _bytes(text), "sha256").hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
