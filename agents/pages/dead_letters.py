"""``/dead-letters/``: what waits there, one of them, and sending them again.

A redrive is asked for twice: the first answer shows what would be sent, with a digest of it; the second, with
that digest, sends exactly this or, when something has changed meanwhile, shows the new plan instead. What is
sent and how is `eventproc deadletter redrive`'s: the same plan, the same sender.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, Final

import structlog
from aiohttp import web

from agents.pages.desk import Desk
from agents.pages.paging import cut
from agents.pages.session import OPERATOR, Operator
from agents.pages.view import Page, wants_html
from eventproc.cli.dead_letter_text import details, pretty, summary
from eventproc.dead_letters import DeadLetterReason, LetterId
from eventproc.delivery.letter_window import Window
from eventproc.redrive import Entry, Plan, RefusedLettersError, Selection, plan_redrive
from eventproc.times import iso, read_time

log = structlog.stdlib.get_logger("eventproc.pages")

JSON_ROWS: Final = 1000
PRETTY_BYTES: Final = 256 * 1024
EXAMPLES: Final = 20


class DeadLetters(Page):
    """What waits, the newest first."""

    async def get(self, request: web.Request) -> Any:
        """Filtered by ``destination`` and ``reason``."""
        window = await self.app.desk.recent_letters()
        asked = _filters(request.query)
        entries = [entry for entry in reversed(window.entries) if _selection(asked).matches(entry)]
        page = cut(entries, request.query.get("page"), 50 if wants_html(request) else JSON_ROWS)
        facts = {
            "total": len(entries),
            "older_records": window.older_records,
            "page": page.number,
            "pages": page.pages,
            "letters": [_listed(entry) for entry in page.rows],
        }
        return self.answer(
            request,
            "dead_letters.html",
            facts,
            page=page,
            asked=asked,
            reasons=[reason.value for reason in DeadLetterReason],
            by_destination=Counter(entry.destination for entry in window.entries).most_common(EXAMPLES),
            done=_done(request.query),
        )


class DeadLetter(Page):
    """One of them; its body only to operators, for that is somebody's data."""

    async def get(
        self, request: web.Request, destination: str, topic: str, partition: str, offset: str
    ) -> Any:
        """Show it."""
        operator = OPERATOR.get()
        place = f"{topic}/{partition}/{offset}"

        def is_meant(one: LetterId) -> bool:
            return one.destination == destination and one.place == place

        desk: Desk = self.app.desk
        window = await (desk.recent_letters() if operator is None else desk.letters.read(is_meant))
        entry = next((one for one in reversed(window.entries) if is_meant(one.id)), None)
        if entry is None:
            raise web.HTTPNotFound(text="No dead letter of this record waits. It may have been redriven.")
        facts = details(entry) | {"key": _key_text(entry)}
        if operator is None:
            facts["value"] = None
        return self.answer(request, "dead_letter.html", facts, body=_body(entry, operator))


class Redrive(Page):
    """``POST /dead-letters/redrive``: first the plan, then the deed."""

    async def post(self, request: web.Request) -> Any:
        """With ``confirm`` of the plan's digest (``yes`` for a script) it is sent."""
        desk: Desk = self.app.desk
        form, operator = await request.post(), OPERATOR.get()
        asked = _filters(form) | {"keys": [str(key) for key in form.getall("key", [])]}
        selection = _selection(asked)
        if selection.is_everything and form.get("all") != "yes":
            raise web.HTTPBadRequest(text="Select dead letters, or name a destination or a reason.")
        confirm = str(form.get("confirm", ""))
        async with desk.redriving:
            window = await desk.letters.read(_keeps(selection) if confirm else _nothing)
            plan = self._plan(window, selection)
            wanted = {_digest(plan)} | (
                {"yes"} if operator is not None and operator.form_token is None else set()
            )
            is_sent = confirm in wanted and bool(plan.sends) and not plan.gaps and not window.older_records
            if is_sent:
                try:
                    await desk.letters.send(plan)
                except RefusedLettersError as error:
                    raise web.HTTPConflict(text=str(error)) from error
                finally:
                    desk.forget_recent_letters()
                log.info("dead_letters.redriven", count=len(plan.sends), mark=plan.at, address=request.remote)
        facts = _plan_facts(plan, window, is_sent=is_sent)
        if is_sent:
            return self.see_other(request, f"/dead-letters/?sent={len(plan.sends)}&mark={plan.at}", facts)
        return self.answer(
            request,
            "redrive.html",
            facts,
            status=409 if confirm else 200,
            asked=asked | {"all": form.get("all", "")},
            digest=_digest(plan),
            changed=bool(confirm),
            earlier=_with_earlier(window, plan) if plan.gaps else [],
        )

    def _plan(self, window: Window, selection: Selection) -> Plan:
        topics = {id_: engine.destination.topic for id_, engine in self.app.parts.engines.items()}
        return plan_redrive(window.entries, selection, topics, iso(datetime.now(timezone.utc)))


def _filters(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(given.get(name, "")).strip() for name in ("destination", "reason")}


def _selection(asked: Mapping[str, Any]) -> Selection:
    return Selection(
        destinations=[asked["destination"]] if asked["destination"] else [],
        reasons=[asked["reason"]] if asked["reason"] else [],
        ids={_id(text) for text in asked.get("keys", ())},
    )


def _keeps(selection: Selection) -> Callable[[LetterId], bool]:
    """Whether a record's value is needed for sending: by its id, as far as that tells."""
    ids = selection.ids
    return (lambda one: one.text in ids) if ids else (lambda _one: True)


def _nothing(_id: LetterId) -> bool:
    return False


def _plan_facts(plan: Plan, window: Window, *, is_sent: bool) -> dict[str, Any]:
    sends = [summary(send.entry) | {"topic": send.topic} for send in plan.sends]
    return {
        "at": plan.at,
        "sent": sends if is_sent else [],
        "not_sent": [] if is_sent else sends,
        "by_topic": dict(Counter(send.topic for send in plan.sends)),
        "refused": [summary(refusal.entry) | {"why": refusal.why} for refusal in plan.refusals],
        "gaps": [summary(gap.entry) | {"earlier_event_id": gap.earlier.event_id} for gap in plan.gaps],
        "older_records": window.older_records,
    }


def _with_earlier(window: Window, plan: Plan) -> list[str]:
    """The form's keys of what is selected, and of what would be overtaken."""
    lanes = {gap.entry.lane_id for gap in plan.gaps}
    chosen = {send.entry.id for send in plan.sends}
    last = {send.entry.lane_id: send.entry.offset for send in plan.sends}
    return [
        _key_text(entry)
        for entry in window.entries
        if entry.id in chosen or (entry.lane_id in lanes and entry.offset < last.get(entry.lane_id, 0))
    ]


def _digest(plan: Plan) -> str:
    """Of what would be sent, in its order."""
    text = "".join(f"{send.entry.offset} {send.entry.id.text}\n" for send in plan.sends)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _listed(entry: Entry) -> dict[str, Any]:
    return summary(entry) | {"detail": entry.detail, "key": _key_text(entry)}


def _key_text(entry: Entry) -> str:
    return base64.urlsafe_b64encode(entry.id.text.encode("utf-8", "replace")).decode()


def _id(text: str) -> str:
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True).decode()
    except ValueError:
        raise web.HTTPBadRequest(text="That is no dead letter's key.") from None


def _body(entry: Entry, operator: Operator | None) -> list[str] | None:
    """The event's lines; None for who may not see them."""
    if operator is None:
        return None
    if len(entry.value or b"") > PRETTY_BYTES:
        return [(entry.value or b"")[:PRETTY_BYTES].decode("utf-8", "replace")]
    return pretty(entry.value)


def _done(query: Mapping[str, str]) -> dict[str, str] | None:
    """What a redrive says of itself in the address; nothing else may be said there."""
    sent, mark = query.get("sent", ""), query.get("mark", "")
    if not (sent.isascii() and sent.isdigit() and read_time(mark) and len(sent) + len(mark) < 60):
        return None
    return {"sent": sent, "mark": mark}
