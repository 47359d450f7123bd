"""``eventproc listen``: a receiver on this machine that verifies and shows each callback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import signal
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.syntax import Syntax

from eventproc.cli.callback_judge import Judge, SharedSecret
from eventproc.cli.context import CliContext, ExitCode, fail
from eventproc.cli.dead_letter_text import pretty, printable
from eventproc.cli.kafka_command import load
from eventproc.cli.verify import key_options, read_keys
from eventproc.receiver.diagnose import NamedKey
from eventproc.times import iso
from settings import Settings

if TYPE_CHECKING:
    from eventproc.cli.forwarding import ForwardedAnswer, Forwarder
    from eventproc.cli.listener import Arrival, Listener, Probe, Tally

_MARKS: Final = {True: "RIGHT", False: "WRONG", None: "unchecked"}
_DEFAULT_STATUS: Final = 200
_SHOWN_ANSWER_BYTES: Final = 500
_STYLES: Final = {True: "green", False: "bold red", None: "yellow"}

EPILOG: Final = """\b
Ctrl-C ends it, with a summary. Exit codes:
  0  ended by Ctrl-C or SIGTERM
  2  wrong usage, or the port is in use"""


@click.command(epilog=EPILOG)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: a free one, printed."
)
@click.option("--bind", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen.")
@click.option(
    "--host",
    help="The host that is signed. Default: any that the request names (Host, Forwarded, X-Forwarded-Host).",
)
@key_options
@click.option(
    "--jwt-secret-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The shared secret: check tokens, as a business server.",
)
@click.option(
    "--api-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The shared API key: check it, as a business server.",
)
@click.option("--auth-header", metavar="NAME", help="Where they stand. Default: Authorization, X-Api-Key.")
@click.option(
    "--answer",
    type=click.IntRange(200, 599),
    default=_DEFAULT_STATUS,
    show_default=True,
    metavar="STATUS",
    help="To what is right.",
)
@click.option(
    "--fail-rate",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="Answer 503 to so many of those: 0.2 is a fifth.",
)
@click.option(
    "--delay", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="Before each answer."
)
@click.option(
    "--forward",
    metavar="URL",
    help="Pass what is not wrong on to this application, unchanged, and answer what it answers.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text.")
@click.pass_obj
def listen(context: CliContext, /, *, port: int, bind: str, as_json: bool, **options: Any) -> None:
    """Receive callbacks here, verify and show them.

    What is wrong is answered 401, and goes to no application. OPTIONS and HEAD are probes, shown and not
    counted. Without --key, --stellar-toml, --jwt-secret-file or --api-key-file, the configuration's own
    signing seed and callback_api.auth are taken, if it has them.
    """
    from eventproc.cli.listener import Behaviour, Listener  # noqa: PLC0415 - `eventproc --help` stays quick

    forwarder = _forwarder(options["forward"], options["answer"])
    judge = _judge(context, options)
    behaviour = Behaviour(options["answer"], options["fail_rate"], options["delay"])
    screen = _Screen(Console(highlight=False, markup=False, emoji=False))
    report, report_probe = (_print_json, _print_probe) if as_json else (screen.show, screen.show_probe)
    listener = Listener(judge, behaviour, report, report_probe, random.random, forwarder=forwarder)
    try:
        asyncio.run(_serve(listener, bind, port, lambda at: _announce(at, bind, judge, as_json=as_json)))
    except OSError as error:
        fail(
            f"cannot listen on {bind}:{port}: {error.strerror or error}. Choose another --port.",
            ExitCode.USAGE,
        )
    _sum_up(listener.tally, as_json=as_json)


async def _serve(listener: Listener, address: str, port: int, on_ready: Callable[[int], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C ends it without a summary
            loop.add_signal_handler(number, stop.set)
    try:
        on_ready(await listener.start(address, port))
        await stop.wait()
    finally:
        await listener.close()


def _forwarder(url: str | None, status: int) -> Forwarder | None:
    from eventproc.cli.forwarding import Forwarder  # noqa: PLC0415 - `eventproc --help` stays quick

    if url is None:
        return None
    if status != _DEFAULT_STATUS:
        raise click.UsageError(
            "Give --answer or --forward, not both: the application's answer is passed back."
        )
    if not re.fullmatch(r"https?://[^/?#\s]+\S*", url):
        raise click.UsageError(f"--forward: {url!r} is no URL; right: http://localhost:3000/callback")
    return Forwarder(url)


def _judge(context: CliContext, options: dict[str, Any]) -> Judge:
    jwt_file, api_key_file = options["jwt_secret_file"], options["api_key_file"]
    if jwt_file is not None and api_key_file is not None:
        raise click.UsageError("Give --jwt-secret-file or --api-key-file, not both.")
    keys, others = read_keys(options["accounts"], options["toml"], options["ca_certificate"])
    header = options["auth_header"]
    secret: SharedSecret | None = None
    if jwt_file is not None:
        secret = SharedSecret("jwt", header or "Authorization", _secret(jwt_file))
    elif api_key_file is not None:
        secret = SharedSecret("api_key", header or "X-Api-Key", _secret(api_key_file))
    if not keys and secret is None:
        settings = load(context)
        keys, secret = _own_keys(settings), _own_secret(settings)
    return Judge(keys, others, options["host"], secret)


def _secret(path: Path) -> bytes:
    """Editors end a file with a newline; no secret has one."""
    secret = path.read_bytes().rstrip(b"\r\n")
    if not secret:
        fail(f"{path} is empty: put the secret in it", ExitCode.USAGE)
    return secret


def _own_keys(settings: Settings) -> list[NamedKey]:
    from eventproc.auth.stellar_signature import StellarSignature  # noqa: PLC0415 - only where it is needed

    seeds = (settings.sep10.signing_seed, settings.sep10.signing_seed_next)
    accounts = [StellarSignature(seed.get_secret_value(), "").account for seed in seeds if seed is not None]
    return [NamedKey(account, "the configuration") for account in dict.fromkeys(accounts)]


def _own_secret(settings: Settings) -> SharedSecret | None:
    auth = settings.callback_api.auth
    if auth.type == "none" or auth.secret is None:
        return None
    header = auth.jwt.http_header if auth.type == "jwt" else auth.api_key.http_header
    return SharedSecret(auth.type, header, auth.secret.get_secret_value().encode())


def _announce(port: int, address: str, judge: Judge, *, as_json: bool) -> None:
    url = f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"
    if as_json:
        _print_line({"listening": url})
        return
    click.echo(f"listening on {url}, any path")
    if judge.keys:
        host = judge.host or "any host that the request names"
        click.echo(f"signatures of {', '.join(map(str, judge.keys))} for {host}")
    if judge.secret is not None:
        click.echo(f"{judge.secret.kind} in {judge.secret.header}")
    if not judge.keys and judge.secret is None:
        click.echo("nothing is checked: give --key, --stellar-toml, --jwt-secret-file or --api-key-file")


class _Screen:
    """Callbacks for people; nothing of them reaches the terminal before ``printable``."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, arrival: Arrival) -> None:
        """One request."""
        at = _clock(arrival.at)
        verdict = arrival.verdict
        head = f"#{arrival.number}  {at}  {arrival.method} {arrival.path}  event {arrival.event_id or '-'}"
        self._print("")
        self._print(head, "bold")
        notes = [_MARKS[verdict.is_right], f"answered {arrival.answer}"]
        notes += ["came before"] * arrival.is_repeated
        notes += [f"redriven {arrival.redriven}"] * (arrival.redriven is not None)
        self._print("  ".join(notes), _STYLES[verdict.is_right])
        for line in verdict.lines:
            self._print(line)
        if arrival.forwarded is not None:
            self._print(_forwarded_line(arrival.forwarded))
        body = "\n".join(map(printable, pretty(arrival.body)))
        if self._console.is_terminal:
            self._console.print(Syntax(body, "json", background_color="default", word_wrap=True))
        else:
            click.echo(body)

    def show_probe(self, probe: Probe) -> None:
        """Somebody asked whether we are there."""
        self._print("")
        self._print(
            f"{_clock(probe.at)}  {probe.method} {probe.path}  a probe, as of `eventproc doctor`: not counted"
        )

    def _print(self, line: str, style: str | None = None) -> None:
        self._console.print(printable(line), style=style, soft_wrap=True)


def _forwarded_line(answer: ForwardedAnswer) -> str:
    milliseconds = f"{answer.seconds * 1000:.0f} ms"
    if answer.problem is not None:
        return f"the application did not answer ({milliseconds}): {answer.problem}"
    shown = answer.body[:_SHOWN_ANSWER_BYTES].decode("utf-8", "replace")
    rest = "…" if len(answer.body) > _SHOWN_ANSWER_BYTES else ""
    return f"the application answered {answer.status} in {milliseconds}: {shown}{rest}".rstrip(": ")


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%H:%M:%S")


def _print_probe(probe: Probe) -> None:
    _print_line({"probe": _request(probe)})


def _request(one: Arrival | Probe) -> dict[str, object]:
    at = iso(datetime.fromtimestamp(one.at, timezone.utc))
    return {"at": at, "method": one.method, "path": one.path}


def _print_json(arrival: Arrival) -> None:
    verdict = arrival.verdict
    _print_line(
        {
            "number": arrival.number,
            **_request(arrival),
            "event_id": arrival.event_id,
            "redriven": arrival.redriven,
            "came_before": arrival.is_repeated,
            "checked_by": verdict.checked_by,
            "right": verdict.is_right,
            "answered": arrival.answer,
            **({} if arrival.forwarded is None else {"forwarded": _forwarded_object(arrival.forwarded)}),
            **{name: value for name, value in verdict.details.items() if name != "valid"},
            "body": arrival.body.decode("utf-8", "replace"),
        }
    )


def _forwarded_object(answer: ForwardedAnswer) -> dict[str, object]:
    return {
        "status": None if answer.problem is not None else answer.status,
        "seconds": round(answer.seconds, 3),
        "body": answer.body.decode("utf-8", "replace"),
        "problem": answer.problem,
    }


def _sum_up(tally: Tally, *, as_json: bool) -> None:
    if as_json:
        answers = {str(status): count for status, count in sorted(tally.answers.items())}
        counts = {name: getattr(tally, name) for name in ("right", "wrong", "unchecked", "repeated")}
        _print_line({"summary": {**counts, "causes": dict(tally.causes), "answers": answers}})
        return
    causes = ", ".join(f"{cause} {count}" for cause, count in tally.causes.most_common())
    parts = [
        f"{tally.right} right",
        f"{tally.wrong} wrong" + (f" ({causes})" if causes else ""),
        *([f"{tally.unchecked} unchecked"] if tally.unchecked else []),
        *([f"{tally.repeated} that came before"] if tally.repeated else []),
    ]
    answers_text = ", ".join(f"{count} times {status}" for status, count in sorted(tally.answers.items()))
    click.echo(
        f"\n{sum(tally.answers.values())} requests: {', '.join(parts)}; answered {answers_text or 'none'}"
    )


def _print_line(value: object) -> None:
    click.echo(json.dumps(value))
