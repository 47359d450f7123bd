"""``eventproc send-example``: a made-up event, into the anchor's topic or straight to an endpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from eventproc.cli.consent import WritingCommand, require_consent
from eventproc.cli.context import CliContext, ExitCode, fail
from eventproc.cli.dead_letter_text import pretty, printable
from eventproc.cli.example_plan import NotReachedError, Planned, find_client, for_endpoint, plan_examples
from eventproc.cli.kafka_command import load, print_json, quieten, run
from eventproc.destination_patterns import UnknownNameError
from eventproc.destinations import Destination, build_destinations
from eventproc.events import EventType
from eventproc.example_events import ExampleError, Wish
from eventproc.identifiers import DestinationId
from eventproc.outcomes import Delivered, Failed, Rejected, Unbuildable
from eventproc.payloads import Sep
from settings import Settings

if TYPE_CHECKING:
    from eventproc.delivery.example_sender import Answer

EPILOG: Final = """\b
Exit codes:
  0  published, or every endpoint answered 2xx
  1  it would not reach the client, the endpoint did not take it, the topic is not there, or there is
     no terminal to ask at and no --yes
  2  wrong configuration or usage
  3  Kafka did not answer"""


@click.command(name="send-example", cls=WritingCommand, epilog=EPILOG)
@click.option(
    "--type",
    "type_",
    type=click.Choice([one.value for one in EventType]),
    default=EventType.TRANSACTION_STATUS_CHANGED.value,
    show_default=True,
    help="What happened.",
)
@click.option(
    "--sep", type=click.Choice([one.value for one in Sep]), help="Default: one the client has a URL for."
)
@click.option("--kind", help="deposit, withdrawal, receive, …")
@click.option(
    "--status", help="The transaction's, or a customer's. Default: completed; of a new one its first."
)
@click.option(
    "--client", "client_name", metavar="NAME", help="Whose it is. Without: the business server's alone."
)
@click.option(
    "--transaction", "transaction_id", metavar="ID", help="Of this transaction. Default: a new one."
)
@click.option("--count", type=click.IntRange(1, 10_000), default=1, show_default=True, help="How many.")
@click.option(
    "--to",
    type=click.Choice(["topic", "endpoint"]),
    default="topic",
    show_default=True,
    help="The anchor's topic, for the workers; or signed and POSTed from here, past Kafka.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.pass_obj
def send_example(
    context: CliContext, /, *, to: str, count: int, dry_run: bool, yes: bool, as_json: bool, **asked: Any
) -> None:
    """Send an example event, marked by ids that begin with example-.

    Into the topic it goes where its like go: to the client, and to the business server if that is enabled.
    """
    settings = load(context)
    plan = _plan(settings, asked, count, to)
    destinations = build_destinations(settings)
    if dry_run:
        _show_plan(plan, destinations, to=to, as_json=as_json)
        return
    require_consent(_question(settings, plan, to), yes=yes)
    quieten(settings)
    if to == "topic":
        _publish(settings, plan, as_json=as_json)
    else:
        _post(settings, plan, destinations, as_json=as_json)


def _question(settings: Settings, plan: Sequence[Planned], to: str) -> str:
    where = printable(", ".join(dict.fromkeys(id_ for one in plan for id_ in one.destinations)) or "nobody")
    if to == "endpoint":
        return f"POST {len(plan)} to {where}?"
    return f"Publish {len(plan)} to {settings.topics.source}, for {where}?"


def _plan(settings: Settings, asked: dict[str, Any], count: int, to: str) -> list[Planned]:
    sep = None if asked["sep"] is None else Sep(asked["sep"])
    wish = Wish(EventType(asked["type_"]), sep, asked["kind"], asked["status"], asked["transaction_id"])
    try:
        client = None if asked["client_name"] is None else find_client(settings, asked["client_name"])
        plan = plan_examples(settings, client, wish, count)
        return for_endpoint(settings, client, plan) if to == "endpoint" else plan
    except UnknownNameError as error:
        fail(printable(str(error)), ExitCode.USAGE)
    except ExampleError as error:
        raise click.UsageError(str(error)) from None
    except NotReachedError as error:
        fail(printable(str(error)), ExitCode.CHECK_FAILED)


def _show_plan(
    plan: Sequence[Planned], destinations: dict[DestinationId, Destination], *, to: str, as_json: bool
) -> None:
    objects = [_planned_object(one, destinations, to) for one in plan]
    if as_json:
        print_json({"dry_run": True, "examples": objects})
        return
    for one, shown in zip(plan, objects, strict=True):
        click.echo(_head(one))
        requests: Any = shown.get("requests", [])
        for request in requests:
            click.echo(printable(f"POST {request.get('url', '-')}"))
            for name, value in request.get("headers", {}).items():
                click.echo(printable(f"{name}: {value}"))
            for line in pretty(str(request.get("body", request.get("problem"))).encode()):
                click.echo(printable(line))
        if to == "topic":
            for line in pretty(one.example.value):
                click.echo(printable(line))
    click.echo(f"{len(plan)} would be sent; this was a dry run.")


def _planned_object(
    one: Planned, destinations: dict[DestinationId, Destination], to: str
) -> dict[str, object]:
    from eventproc.delivery.example_sender import prepare_example  # noqa: PLC0415 - `eventproc --help` stays quick

    shown = _object(one)
    if to == "endpoint":
        requests: list[dict[str, object]] = []
        for id_ in one.destinations:
            prepared = prepare_example(destinations[id_], one.example, time.time())
            if isinstance(prepared, Unbuildable):
                requests.append({"destination": id_, "problem": prepared.detail})
            else:
                headers = {name: _masked(name, value) for name, value in prepared.headers.items()}
                body = prepared.body.decode()
                requests.append({"destination": id_, "url": prepared.url, "headers": headers, "body": body})
        shown["requests"] = requests
    return shown


def _masked(name: str, value: str) -> str:
    """A signature is of these bytes alone and grows old; a token or an API key opens the door for others."""
    shown = {"content-type", "x-event-id", "signature", "x-stellar-signature"}
    return value if name.lower() in shown else "********"


def _publish(settings: Settings, plan: Sequence[Planned], *, as_json: bool) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    from eventproc.delivery.example_sender import NoSourceTopicError, publish_examples  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("publishing", total=len(plan))
        try:
            published = run(
                publish_examples(
                    settings, [one.example for one in plan], lambda done: progress.update(bar, completed=done)
                )
            )
        except NoSourceTopicError as error:
            fail(str(error), ExitCode.CHECK_FAILED)
    if as_json:
        places = [{"topic": at.topic, "partition": at.partition, "offset": at.offset} for at in published]
        print_json(
            {"examples": [_object(one) | {"published": at} for one, at in zip(plan, places, strict=True)]}
        )
        return
    for one, at in zip(plan, published, strict=True):
        click.echo(f"{_head(one)}  at {at.topic} {at.partition}/{at.offset}")
    click.echo(f"{len(plan)} published. What becomes of it: eventproc timeline {plan[-1].subject}")


def _post(
    settings: Settings,
    plan: Sequence[Planned],
    destinations: dict[DestinationId, Destination],
    *,
    as_json: bool,
) -> None:
    from eventproc.delivery.example_sender import post_example  # noqa: PLC0415

    shown, is_taken = [], True
    for one in plan:
        answers = []
        if not as_json:
            click.echo(_head(one))
        for id_ in one.destinations:
            answer = asyncio.run(post_example(settings, destinations[id_], one.example))
            is_taken = is_taken and isinstance(answer.outcome, Delivered)
            answers.append(
                {"destination": id_, "url": destinations[id_].endpoint.url, **answer_object(answer)}
            )
            if not as_json:
                click.echo(printable(f"  {destinations[id_].endpoint.url}: {answer_text(answer)}"))
        shown.append(_object(one) | {"answers": answers})
    if as_json:
        print_json({"examples": shown})
    if not is_taken:
        raise click.exceptions.Exit(int(ExitCode.CHECK_FAILED))


def answer_object(answer: Answer) -> dict[str, object]:
    """What an endpoint answered, for ``--json``."""
    return {
        "outcome": _outcome_name(answer),
        "status": answer.status,
        "milliseconds": round(answer.seconds * 1000),
        "detail": _detail(answer),
        "response": answer.excerpt.decode("utf-8", "replace"),
    }


def answer_text(answer: Answer) -> str:
    """What an endpoint answered, in one line."""
    excerpt = answer.excerpt.decode("utf-8", "replace").strip()
    parts = [_outcome_name(answer), f"HTTP {answer.status}" if answer.status else _detail(answer)]
    parts += [f"{answer.seconds * 1000:.0f} ms"] + ([excerpt] if excerpt else [])
    return "  ".join(part for part in parts if part)


def _outcome_name(answer: Answer) -> str:
    match answer.outcome:
        case Delivered():
            return "taken"
        case Rejected():
            return "refused: the endpoint does not want this event"
        case Failed(kind=kind):
            return f"failed: {kind.value}"
        case Unbuildable():
            return "cannot be built"


def _detail(answer: Answer) -> str | None:
    match answer.outcome:
        case Failed(detail=detail) | Unbuildable(detail=detail):
            return detail
        case _:
            return None


def _object(one: Planned) -> dict[str, object]:
    return {
        "event_id": one.example.event_id,
        "type": one.example.type.value,
        "subject": one.subject,
        "destinations": list(one.destinations),
        "value": one.example.value.decode(),
    }


def _head(one: Planned) -> str:
    goes_to = ", ".join(one.destinations) or "nobody"
    return printable(f"{one.example.event_id}  {one.example.type.value}  goes to: {goes_to}")
