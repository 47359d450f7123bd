"""``eventproc verify``: is this callback right, and if not, what is wrong with it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from eventproc.cli.context import ExitCode, fail
from eventproc.cli.diagnosis_text import diagnosis_lines, diagnosis_object
from eventproc.cli.kafka_command import print_json
from eventproc.errors import StrkeyError
from eventproc.receiver.diagnose import Evidence, NamedKey, diagnose
from eventproc.receiver.request_headers import by_name, names_of_receiver
from eventproc.receiver.verifier import TOLERANCE_SECONDS
from eventproc.signed_text import LEGACY_SIGNATURE_HEADER, SIGNATURE_HEADER, signed_host
from eventproc.stellar_toml import StellarToml, StellarTomlError
from eventproc.strkey import decode_account
from eventproc.times import read_time

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
TOML_SECONDS: Final = 10.0

_MILLISECONDS: Final = 100_000_000_000
_HEADER_LINE: Final = re.compile(r"([A-Za-z][A-Za-z0-9-]*):\s*(.*)", re.ASCII)
_FILE: Final = click.Path(exists=True, dir_okay=False, allow_dash=True)

EPILOG: Final = """\b
Exit codes:
  0  the callback is right
  1  it is not; what is wrong is printed
  2  wrong usage: a key that is none, a file that is not there"""


class AccountParam(click.ParamType):
    """A Stellar account. A seed is refused without being shown."""

    name = "account"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As click asks for it."""
        text = str(value).strip()
        if text[:1] in {"S", "s"}:
            self.fail("it begins with S: a secret seed must never stand here; the public key begins with G")
        try:
            decode_account(text)
        except StrkeyError as error:
            self.fail(str(error), param, ctx)
        return text


class AtParam(click.ParamType):
    """A moment: ISO-8601, or seconds since the epoch as ``t=`` has them (or milliseconds)."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As click asks for it."""
        text = str(value).strip()
        if re.fullmatch(r"[0-9]{1,15}(\.[0-9]+)?", text, re.ASCII):
            number = float(text)
            return number / 1000 if number >= _MILLISECONDS else number
        at: datetime | None = read_time(text)
        if at is None:
            self.fail(f"{value!r} is not a time like 2026-01-31T12:00:00Z or 1795515900", param, ctx)
        return at.timestamp()


def key_options(command: Any) -> Any:
    """``--key`` and ``--stellar-toml``: whose signature is right. ``read_keys`` reads them."""
    options = (
        click.option(
            "--key",
            "accounts",
            type=AccountParam(),
            multiple=True,
            metavar="G…",
            help="The anchor's account. May be repeated.",
        ),
        click.option(
            "--stellar-toml",
            "toml",
            metavar="FILE|URL",
            help="The anchor's stellar.toml: its SIGNING_KEY is right when there is no --key.",
        ),
        click.option(
            "--ca-certificate",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="PEM of the certificates to believe for --stellar-toml. Default: the system's.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(epilog=EPILOG)
@click.option("--header", metavar="TEXT", help="The value of Signature: t=…, s=…")
@click.option(
    "--header-file",
    type=_FILE,
    metavar="FILE|-",
    help="A file with that value, or with the request's headers, one on a line.",
)
@click.option("--body-file", type=_FILE, required=True, metavar="FILE|-", help="The body, byte for byte.")
@click.option(
    "--host",
    help="The host that you verify with, with its port if you do so. Default: Host of --header-file.",
)
@click.option("--url", help="Your callback URL, as the anchor has it: the host is taken from it.")
@key_options
@click.option("--at", type=AtParam(), metavar="TIME", help="When the callback came. Default: now.")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=TOLERANCE_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How far its time may be from then.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def verify(
    *,
    header: str | None,
    header_file: str | None,
    body_file: str,
    host: str | None,
    url: str | None,
    accounts: tuple[str, ...],
    toml: str | None,
    ca_certificate: Path | None,
    at: float | None,
    tolerance: float,
    as_json: bool,
) -> None:
    """Verify one callback, and say what is wrong: clock, host, key, body or encoding."""
    if (header is None) == (header_file is None):
        raise click.UsageError("Give the signature, by --header or --header-file.")
    if url is not None and not signed_host(url):
        raise click.UsageError(f"--url: {url!r} has no host; right: https://wallet.example.com/callbacks")
    if header_file is not None and header_file == body_file:
        raise click.UsageError("--header-file and --body-file cannot be the same.")
    keys, others = read_keys(accounts, toml, ca_certificate)
    if not keys:
        raise click.UsageError("Give the anchor's account, by --key or --stellar-toml.")
    body = _read(body_file)
    if len(body) > MAX_BODY_BYTES:
        fail(f"the body is longer than {MAX_BODY_BYTES} bytes: no anchor sends that", ExitCode.USAGE)
    head = b"" if header_file is None else _read(header_file)
    named = names_of_receiver(by_name(_headers_in(head)))
    value = _value_of(header) if header_file is None else _from_file(head)
    right_host = host or (signed_host(url) if url else next(iter(named), None))
    if right_host is None:
        raise click.UsageError(
            "Give the host that you verify with: --host, your callback URL by --url, or the request's "
            "headers with Host by --header-file."
        )
    evidence = Evidence(value, body, right_host, keys, others, url, named)
    diagnosis = diagnose(evidence, time.time() if at is None else at, tolerance)
    if as_json:
        print_json(diagnosis_object(diagnosis))
    else:
        click.echo("valid" if diagnosis.is_valid else "NOT VALID")
        for line in diagnosis_lines(diagnosis, body):
            click.echo(line)
    if not diagnosis.is_valid:
        raise click.exceptions.Exit(int(ExitCode.CHECK_FAILED))


def read_keys(
    accounts: Sequence[str], toml: str | None, ca_path: Path | None
) -> tuple[list[NamedKey], list[NamedKey]]:
    """The keys that are right, and those that may have signed although they should not.

    The command ends here when the stellar.toml cannot be read, or has no SIGNING_KEY while it is needed.
    """
    keys = [NamedKey(account, "--key") for account in accounts]
    if toml is None:
        return keys, []
    found = _read_toml(toml, ca_path)
    if not keys and found.signing_key is None:
        fail(f"{toml} has no SIGNING_KEY: give the anchor's account by --key", ExitCode.USAGE)
    if not keys:
        keys = [NamedKey(account, f"{name} of {toml}") for name, account in found.accounts[:1]]
    return keys, [NamedKey(account, f"{name} of {toml}") for name, account in found.accounts]


def _read_toml(toml: str, ca_path: Path | None) -> StellarToml:
    from eventproc.doctor.stellar_toml_source import read_stellar_toml  # noqa: PLC0415 - only where it is needed

    try:
        return asyncio.run(read_stellar_toml(toml, timeout_seconds=TOML_SECONDS, ca_path=ca_path))
    except StellarTomlError as error:
        fail(str(error), ExitCode.USAGE)


def _read(file: str) -> bytes:
    """A little more than is allowed, so that too much is seen."""
    with click.open_file(file, "rb") as stream:
        return bytes(stream.read(MAX_BODY_BYTES + 1))


def _value_of(text: str | None) -> str | None:
    """The value in ``Signature: t=…, s=…``, as tools print headers."""
    if text is None:
        return None
    name, colon, value = text.strip().partition(":")
    is_ours = name.strip().lower() in {SIGNATURE_HEADER.lower(), LEGACY_SIGNATURE_HEADER.lower()}
    return value.strip() if colon and is_ours else text.strip()


def _headers_in(content: bytes) -> list[tuple[str, str]]:
    """The headers in a file that has one on a line; none where it has only a value."""
    lines = (line.strip() for line in content.decode("utf-8-sig", "replace").splitlines())
    found = (_HEADER_LINE.fullmatch(line) for line in lines)
    return [(one[1], one[2]) for one in found if one is not None]


def _from_file(content: bytes) -> str | None:
    """The value in a file: of the header among others, else all of it. None: others, and not this one."""
    lines = [line.strip() for line in content.decode("utf-8-sig", "replace").splitlines() if line.strip()]
    for wanted in (SIGNATURE_HEADER, LEGACY_SIGNATURE_HEADER):
        for line in lines:
            if line.lower().startswith(f"{wanted.lower()}:"):
                return _value_of(line)
    return None if _headers_in(content) else " ".join(lines)
