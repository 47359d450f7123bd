"""``eventproc config``: is the configuration right, and what is in force."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import click

from eventproc.cli.context import CliContext, ExitCode, fail, mention_warnings
from eventproc.delivery.worker_memory import memory_problems
from eventproc.destinations import build_destinations
from eventproc.errors import ConfigurationError
from eventproc.tracing_extra import missing_extra
from settings import Settings
from settings.overview import Entry, overview


@click.group()
def config() -> None:
    """Check the configuration, or show what is in force."""


@config.command()
@click.option("--strict", is_flag=True, help="Exit with 1 when there is a warning.")
@click.pass_obj
def check(context: CliContext, *, strict: bool) -> None:
    """Report every warning and every mistake. Exits with 2 when there is a mistake."""
    settings = context.load(prints_warnings=True)
    _check_kafka_stores(settings)
    _check_kafka_tokens(settings)
    _check_tracing(settings)
    problems = list(memory_problems(settings, len(build_destinations(settings))))
    for problem in problems:
        click.echo(f"warning: {problem}", err=True)
    _say_who_signs(settings)
    click.echo(_verdict(settings, len(problems)))
    if strict and (settings.warnings or problems):
        raise click.exceptions.Exit(int(ExitCode.CHECK_FAILED))


@config.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object with every key.")
@click.pass_obj
def show(context: CliContext, *, as_json: bool) -> None:
    """Show every key, its value and where it came from. Secrets are masked."""
    settings = context.load()
    entries, accounts = list(overview(settings)), _accounts(settings)
    if as_json:
        shown = {entry.key: _as_object(entry, accounts) for entry in entries}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        for line in _as_lines(entries, accounts):
            click.echo(line)
    mention_warnings(settings)


def _verdict(settings: Settings, further_warnings: int) -> str:
    """Right may still mean that nobody gets anything, which is rarely what was meant."""
    count = len(settings.warnings) + further_warnings
    verdict = "The configuration is right" + (f", with {count} warning{'s'[: count > 1]}" if count else "")
    if reasons := list(_why_nothing(settings)):
        return f"{verdict}, but nothing will be delivered, because {', and because '.join(reasons)}."
    business = settings.event_processor.callback_api_request.enabled
    if business and settings.origins.get("callback_api.base_url", "default") == "default":
        url = settings.callback_api.base_url
        where = f"to the business server unless it is at {url}, the default"
        return f"{verdict}, but nothing will be delivered {where}, because callback_api.base_url is not set."
    return f"{verdict}."


def _why_nothing(settings: Settings) -> Iterator[str]:
    processor = settings.event_processor
    if not settings.events.enabled:
        yield "events.enabled is false and a worker says so and stops: set EVENTS_ENABLED=true"
    to_clients = processor.client_status_callback.enabled and any(
        one.callback_urls for one in settings.clients
    )
    if not to_clients and not processor.callback_api_request.enabled:
        yield (
            "there is nobody to deliver to: neither event_processor.callback_api_request.enabled "
            "nor a client with a callback URL"
        )
    if settings.delivery.mode == "shadow":
        yield "delivery.mode is shadow"


def _say_who_signs(settings: Settings) -> None:
    """A change of the key that is planned is easily got wrong, and seen by all wallets."""
    sep10 = settings.sep10
    if sep10.signing_seed is None or sep10.signing_seed_next is None or sep10.signing_seed_next_at is None:
        return
    present, following = _accounts(settings).values()
    moment = sep10.signing_seed_next_at.isoformat()
    click.echo(f"{present} signs until {moment}, {following} from then on.")


def _check_kafka_stores(settings: Settings) -> None:
    """A worker opens them at its start, and ends there when it cannot."""
    if not settings.events.queue.kafka.uses_ssl:
        return
    from eventproc.delivery.kafka_tls import KeyStoreError, kafka_ssl_context  # noqa: PLC0415 - only with TLS

    try:
        kafka_ssl_context(settings.events.queue.kafka)
    except KeyStoreError as error:
        fail(str(error), ExitCode.USAGE)


def _check_kafka_tokens(settings: Settings) -> None:
    if not settings.events.queue.kafka.uses_tokens:
        return
    from eventproc.delivery.kafka_tokens import token_provider  # noqa: PLC0415 - only with tokens

    try:
        token_provider(settings)
    except ConfigurationError as error:
        fail(str(error), ExitCode.USAGE)


def _check_tracing(settings: Settings) -> None:
    if (problem := missing_extra(settings.tracing)) is not None:
        fail(problem, ExitCode.USAGE)


def _accounts(settings: Settings) -> dict[str, str]:
    """The account of each signing seed that there is, as the seeds are masked."""
    seeds = {
        "sep10.signing_seed": settings.sep10.signing_seed,
        "sep10.signing_seed_next": settings.sep10.signing_seed_next,
    }
    if not any(seeds.values()):
        return {}
    from eventproc.auth.signing_account import account_of  # noqa: PLC0415 - only for who signs

    return {key: account for key, seed in seeds.items() if (account := account_of(seed)) is not None}


def _as_object(entry: Entry, accounts: Mapping[str, str]) -> dict[str, object]:
    described: dict[str, object] = {"value": entry.value, "origin": entry.origin}
    if entry.key in accounts:
        described["account"] = accounts[entry.key]
    if entry.no_effect is not None:
        described["note"] = f"accepted, no effect: {entry.no_effect}"
    return described


def _as_lines(entries: list[Entry], accounts: Mapping[str, str]) -> list[str]:
    width = max(len(entry.key) for entry in entries)
    return [
        f"{entry.key:<{width}}  {_as_text(entry)}  [{entry.origin}]"
        + (f"  account {accounts[entry.key]}" if entry.key in accounts else "")
        + (f"  accepted, no effect: {entry.no_effect}" if entry.no_effect is not None else "")
        for entry in entries
    ]


def _as_text(entry: Entry) -> str:
    match entry.value:
        case None:
            return "-"
        case bool():
            return str(entry.value).lower()
        case list():
            return ", ".join(entry.value) or "-"
        case _:
            return str(entry.value)
