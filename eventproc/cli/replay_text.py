"""What ``eventproc replay`` prints: the plan, the points to continue at, and how far it came."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from rich.table import Table

from eventproc.cli.context import ExitCode
from eventproc.cli.dead_letter_text import printable
from eventproc.cli.kafka_command import plain_console
from eventproc.replay import EventNote, ReplayPlan, SendProgress
from eventproc.replay_point import ResumePoint
from eventproc.times import from_ms, iso


@dataclass(slots=True)
class ReplayEnd:
    """What became of a plan; ``point`` has what is left of it."""

    point: ResumePoint
    progress: SendProgress = field(default_factory=SendProgress)
    problem: str | None = None
    code: ExitCode = ExitCode.OK
    is_sent: bool = False


def point_line(plan: ReplayPlan, done: ReplayEnd, *, as_json: bool) -> str:
    """How far it is, and the point at which it can be continued; for programs a JSON object on one line."""
    whole, text = done.progress.events, done.point.text()
    if as_json:
        return json.dumps({"whole_events": whole, "events": len(plan.copies), "resume": text})
    return f"{whole} of {len(plan.copies)} events sent. If this is ended: {_resume_command(text)}"


def _resume_command(text: str) -> str:
    return f"eventproc replay --resume {text}"


def how_far(plan: ReplayPlan, done: ReplayEnd) -> str:
    """What of a replay that ended early is written, and how to send the rest."""
    progress, go_on = done.progress, f"To send the rest: {_resume_command(done.point.text())}"
    rest = f" {progress.in_doubt} more may be." if progress.in_doubt else ""
    copies = f"{progress.written} of {plan.copy_count} copies are written.{rest}"
    if progress.last is None:
        return f"{copies} {go_on}"
    at, last = iso(from_ms(progress.last.timestamp_ms)), progress.last
    return (
        f"{copies} Whole are the first {progress.events} of {len(plan.copies)} events, up to the one at "
        f"{printable(last.topic)}/{last.partition} offset {last.offset}, published {at}. "
        f"{go_on}"
    )


def left_out(plan: ReplayPlan) -> list[str]:
    """A line for each reason why something in the window is not sent."""
    counts = {
        "not routed yet: they come by themselves": plan.not_routed,
        "that cannot be read": plan.unreadable,
        "for none of these destinations": plan.elsewhere,
    }
    return [f"left out: {count} {why}" for why, count in counts.items() if count]


def print_plan(plan: ReplayPlan) -> None:
    """Print the table that the operator agrees to."""
    table = Table(box=None, pad_edge=False)
    for title in ("DESTINATION", "EVENTS", "FIRST", "LAST"):
        table.add_column(title, overflow="fold", justify="right" if title == "EVENTS" else "left")
    for destination, portion in plan.portions.items():
        table.add_row(printable(destination), str(portion.count), _note(portion.first), _note(portion.last))
    plain_console().print(table)


def _note(note: EventNote) -> str:
    return printable(f"{iso(from_ms(note.published_ms))} {note.event_id} of {note.lane}")


def amount(plan: ReplayPlan) -> str:
    """The numbers of events and copies, in words."""
    events, copies = len(plan.copies), plan.copy_count
    return f"{events} event{'s'[: events != 1]} in {copies} cop{'ies' if copies != 1 else 'y'}"


def as_object(plan: ReplayPlan, done: ReplayEnd, *, dry_run: bool) -> dict[str, object]:
    """The same for ``--json``."""
    last = done.progress.last
    return {
        "at": done.point.at,
        "dry_run": dry_run,
        "events": len(plan.copies),
        "copies": plan.copy_count,
        "written": done.progress.written,
        "in_doubt": done.progress.in_doubt,
        "whole_events": done.progress.events,
        "last_whole": None if last is None else last._asdict(),
        "destinations": [
            {"id": id_, "events": one.count, "first": _note_object(one.first), "last": _note_object(one.last)}
            for id_, one in plan.portions.items()
        ],
        "left_out": {
            "not_routed": plan.not_routed,
            "unreadable": plan.unreadable,
            "elsewhere": plan.elsewhere,
        },
        "problem": done.problem,
        "resume": done.point.text() if done.is_sent and done.progress.events < len(plan.copies) else None,
    }


def _note_object(note: EventNote) -> dict[str, str]:
    return {
        "event_id": note.event_id,
        "type": note.event_type,
        "transaction_id": note.lane,
        "published_at": iso(from_ms(note.published_ms)),
    }
