"""Takes a changed configuration over while events flow: on SIGHUP, and when a file has another content.

A configuration is loaded and judged as a whole, as at the start. One with a mistake changes nothing; what a
running worker cannot change is named, and the rest is taken. Putting it in force is ``apply``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError
from mode import Service

from eventproc.auth.signing_account import signing_account
from eventproc.errors import ConfigurationError, EventprocError
from eventproc.http.sender import Sender
from eventproc.reload_plan import Configuration, ReloadPlan, certificate_files, plan_reload
from settings import Settings, SettingsError
from settings.diff import compare

log = structlog.stdlib.get_logger("eventproc")

SETTLE_SECONDS: Final = 0.5
"""A file that is being written has another content a moment later."""

SETTLE_TRIES: Final = 20

Digests = Mapping[Path, bytes | None]


@dataclass(frozen=True, slots=True)
class Retired:
    """A sender whose last request ends within ``seconds``."""

    sender: Sender
    seconds: float


class Reloader(Service):
    """Owns the configuration in force; ``generation`` counts those, ``is_failed`` tells of the last attempt.

    Args:
        running: what the worker was started with.
        load: reads the settings; raises SettingsError.
        build: makes of them what can be put in force; raises ConfigurationError.
        apply: puts it in force and returns the senders that are of no more use. Raises EventprocError or
            KafkaError before it has changed anything.
        kwargs: mode's.
    """

    def __init__(
        self,
        running: Configuration,
        load: Callable[[], Settings],
        build: Callable[[Settings], Configuration],
        apply: Callable[[Configuration, ReloadPlan], Awaitable[list[Retired]]],
        **kwargs: Any,
    ) -> None:
        self.generation = 1
        self.is_failed = False
        self._running = running
        self._load = load
        self._build = build
        self._apply = apply
        self._asked = asyncio.Event()
        self._files = _files_of(running)
        self._digests = _digests(self._files)
        self._applied = self._digests
        self._retired: list[tuple[float, Sender]] = []
        super().__init__(**kwargs)

    def ask(self) -> None:
        """Look at the configuration now."""
        self._asked.set()

    async def on_stop(self) -> None:
        """Whatever is in flight was waited for already."""
        await self._close_retired(None)

    @Service.task
    async def _run(self) -> None:
        while not self.should_stop:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._running.settings.reload.interval_seconds)
            await self._close_retired(self.loop.time())
            try:
                if self._asked.is_set() or await self._has_changed():
                    self._asked.clear()
                    await self.reload()
            except Exception:
                log.exception("reload.crashed")
                self.is_failed = True

    async def _has_changed(self) -> bool:
        """Whether a file has another content than at the last look, and is not just being written."""
        if not self._running.settings.reload.watch_files:
            return False
        seen = self._digests
        for _ in range(SETTLE_TRIES):
            now = await asyncio.to_thread(_digests, self._files)
            if now == seen:
                break
            seen = now
            await self.sleep(SETTLE_SECONDS)
        return seen != self._digests

    async def reload(self) -> None:
        """Load, judge, and put in force what can be."""
        files = self._files
        self._digests = await asyncio.to_thread(_digests, files)
        try:
            wanted = await asyncio.to_thread(self._load)
            changes = compare(self._running.settings, wanted)
            new = await asyncio.to_thread(self._build, changes.settings)
        except (SettingsError, ConfigurationError) as error:
            self._refuse(error)
            return
        self._watch(_files_of(new))
        if changes.needs_restart:
            log.warning("reload.needs_restart", keys=list(changes.needs_restart))
        touched = {path for path, digest in self._digests.items() if digest != self._applied.get(path)}
        plan = plan_reload(self._running, new, touched)
        if not changes.taken and plan == ReloadPlan():
            self._applied, self.is_failed = self._digests, False
            log.info("reload.unchanged")
            return
        try:
            retired = await self._apply(new, plan)
        except (EventprocError, KafkaError) as error:
            self._try_again(error)
            return
        now = self.loop.time()
        self._retired += [(now + one.seconds, one.sender) for one in retired]
        self._running, self._applied, self.is_failed = new, self._digests, False
        self.generation += 1
        log.info(
            "reload.applied",
            generation=self.generation,
            keys=list(changes.taken),
            added=list(plan.added),
            changed=len(plan.changed),
            removed=list(plan.removed),
            signing_account=signing_account(new.settings.sep10, datetime.now(timezone.utc)),
            warnings=[str(warning) for warning in new.settings.warnings],
        )

    def _refuse(self, error: SettingsError | ConfigurationError) -> None:
        problems = [str(problem) for problem in error.problems]
        log.error("reload.refused", problems=problems, generation=self.generation)
        self.is_failed = True
        if isinstance(error, SettingsError):
            # What was in force stays watched: it is there that the mistake is put right, or taken back.
            self._watch({*_files_of(self._running), *error.files})

    def _try_again(self, error: Exception) -> None:
        if not self.is_failed:
            log.warning("reload.failed", problem=repr(error))
        self.is_failed = True
        self.add_future(self._ask_later())

    async def _ask_later(self) -> None:
        await self.sleep(self._running.settings.reload.interval_seconds)
        self.ask()

    def _watch(self, files: Iterable[Path]) -> None:
        """Keep the digests from before the files were read: a change since is seen at the next look."""
        self._files = frozenset(files)
        known = {path: digest for path, digest in self._digests.items() if path in self._files}
        self._digests = {**known, **_digests(self._files - known.keys())}

    async def _close_retired(self, until: float | None) -> None:
        """Those whose time is over; None: all."""
        due = [(when, sender) for when, sender in self._retired if until is None or when <= until]
        self._retired = [entry for entry in self._retired if entry not in due]
        for _, sender in due:
            await sender.close()


def _files_of(configuration: Configuration) -> frozenset[Path]:
    certificates = (certificate_files(one) for one in configuration.destinations.values())
    return frozenset(configuration.settings.files).union(*certificates)


def _digests(files: Iterable[Path]) -> Digests:
    """What is in them; None for one that cannot be read. Times of change are not asked: they can lie."""
    return {path: _digest(path) for path in files}


def _digest(path: Path) -> bytes | None:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except (OSError, ValueError):
        return None
