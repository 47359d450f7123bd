"""Tells of a planned change of the signing key, and whether wallets are told of it, too.

The change itself is decided at each attempt (``eventproc.auth.succession``); nothing here is needed for it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timezone
from typing import Any, Final

import structlog
from mode import Service

from eventproc.auth.signing_account import account_of
from eventproc.times import iso
from settings import Settings

log = structlog.stdlib.get_logger("eventproc")

LOOK_SECONDS: Final = 1.0
CHECK_BEFORE_SECONDS: Final = 300.0
"""Enough to put a stellar.toml right."""

AskAnchor = Callable[[Settings, datetime], Awaitable[Sequence[str]]]
"""(settings, a moment) -> what is wrong with the keys that the anchor publishes, for signatures of then."""


class SigningKeyWatch(Service):
    """Each plan is told when it is seen; the anchor's stellar.toml is looked at before and at the change."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        ask_anchor: AskAnchor,
        wall: Callable[[], float] = time.time,
        **kwargs: Any,
    ) -> None:
        self._settings = settings
        self._ask_anchor = ask_anchor
        self._wall = wall
        self._plan: tuple[datetime, str | None] | None = None
        self._is_checked = self._is_over = False
        super().__init__(**kwargs)

    @Service.task
    async def _run(self) -> None:
        while not self.should_stop:
            await self.look()
            await self.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Say what there is to say at this moment."""
        sep10 = self._settings().sep10
        at, following, present = sep10.signing_seed_next_at, sep10.signing_seed_next, sep10.signing_seed
        if at is None or following is None or present is None:
            self._plan = None
            return
        account = account_of(following)
        left = at.timestamp() - self._wall()
        if self._plan != (at, account):
            self._plan = at, account
            self._is_checked = self._is_over = False
            if left > 0:
                now = account_of(present)
                log.info("signing_key.change_planned", at=_iso(at), present=now, following=account)
        if left <= 0 and not self._is_over:
            self._is_over = self._is_checked = True
            log.info("signing_key.changed", at=_iso(at), account=account)
            await self._check(at)
        elif left <= CHECK_BEFORE_SECONDS and not self._is_checked:
            self._is_checked = True
            await self._check(at)

    async def _check(self, at: datetime) -> None:
        for problem in await self._ask_anchor(self._settings(), at):
            log.warning("signing_key.not_published", at=_iso(at), problem=problem)


def _iso(moment: datetime) -> str:
    return iso(moment.astimezone(timezone.utc))
