"""Whether Kafka lets us in, and if not, what is wrong and whether it is worth waiting.

aiokafka does not tell a refusal from a broker that is away, so each server is asked here. Where a closed
connection leaves open what is wrong, a second one finds out: does the port speak TLS, does it answer without,
which mechanisms does it take?

What a broker says in words is not passed on: a login module of its own may repeat what it was given.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Final, TypeAlias

from aiokafka.errors import KafkaError, SaslAuthenticationFailed, UnsupportedSaslMechanismError

from eventproc.delivery.aiokafka_internals import ask_brokers, ask_mechanisms, ask_token
from eventproc.delivery.kafka_clients import connection_options
from eventproc.delivery.kafka_tls import own_certificate
from eventproc.delivery.kafka_tokens import TokenRefusedError, TokenUnavailableError, token_claims
from settings import Settings
from settings.events import KafkaSettings

ANSWER_SECONDS: Final = 10.0

_PREFIX: Final = "events.queue.kafka"
_PROTOCOL: Final = f"{_PREFIX}.security_protocol"
_MECHANISM: Final = f"{_PREFIX}.sasl_mechanism"
_KEY_STORE: Final = f"{_PREFIX}.ssl_keystore_location"
_CERTIFICATE_PROBLEMS: Final = {
    9: ("is not valid yet", "set the clocks right, or wait"),
    10: ("has expired, or one above it has", "renew it at the broker"),
    62: ("is not for this name", "name it there as subjectAltName, or use a name that it has"),
    64: ("is not for this address", "name it there as subjectAltName, or use a name that it has"),
}
"""By OpenSSL's code (X509_V_ERR_…): what is wrong, the way out."""
_UNKNOWN_AUTHORITY: Final = f"put its authority into {_PREFIX}.ssl_truststore_location"


@dataclass(frozen=True, slots=True)
class LetIn:
    """A broker answered as it answers its users."""

    brokers: frozenset[tuple[str, int]]
    """Host and port of all brokers, as they advertise themselves."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Kafka is there and does not let us in: no waiting helps, something has to be changed."""

    problem: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer, or none that says why: it may come yet."""

    problem: str


Access: TypeAlias = LetIn | Refused | Unreachable


async def ask_for_access(settings: Settings) -> Access:
    """Whether one of the servers lets us in, and one of the brokers that it names.

    Raises:
        KeyStoreError: a key or trust store cannot be used.
    """
    kafka = settings.events.queue.kafka
    options = connection_options(settings)
    options.pop("bootstrap_servers")
    servers = [_host_and_port(server) for server in kafka.bootstrap_servers]
    first = await _first_to_let_in(_Door(kafka, options, *server).knock() for server in servers)
    if not isinstance(first, LetIn) or first.brokers.intersection(servers):
        return first
    if not first.brokers:
        return Unreachable(f"{kafka.bootstrap_server}: no broker is registered there yet")
    # Another name or port than the one we know: an address may be wrong, or not in the certificate.
    second = await _first_to_let_in(
        _Door(kafka, options, *broker).knock() for broker in sorted(first.brokers)
    )
    if isinstance(second, LetIn):
        return second
    advertised = f"{kafka.bootstrap_server} answers, but not the broker as it advertises itself"
    return replace(second, problem=f"{advertised}: {second.problem}")


async def _first_to_let_in(knocks: Iterable[Coroutine[Any, Any, Access]]) -> Access:
    """The first that lets us in; else a refusal, as that says most; else the last that is away."""
    tasks = [asyncio.ensure_future(knock) for knock in knocks]
    result: Access = Unreachable("nobody was asked")
    try:
        for ended in asyncio.as_completed(tasks):
            access = await ended
            if isinstance(access, LetIn):
                return access
            if not isinstance(result, Refused):
                result = access
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return result


@dataclass(frozen=True, slots=True)
class _Door:
    """One host and port, and what we would enter with."""

    kafka: KafkaSettings
    options: dict[str, Any]
    host: str
    port: int

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"

    async def knock(self) -> Access:
        try:
            brokers = await ask_brokers(self.host, self.port, ANSWER_SECONDS, **self.options)
            # aiokafka reads the refusal of a token as an answer without brokers.
            if (
                not brokers
                and self.kafka.uses_tokens
                and (refusal := await self._token_problem()) is not None
            ):
                return Refused(refusal)
            return LetIn(brokers)
        except (KafkaError, OSError, asyncio.TimeoutError, ValueError) as error:
            return await self._explain(error)

    async def _explain(self, error: Exception) -> Access:
        cause = _root(error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Refused(self._certificate_problem(cause))
        if isinstance(cause, ssl.SSLError) and "ALERT" in (cause.reason or ""):
            return Refused(self._alert_problem(cause.reason))
        if isinstance(error, TokenRefusedError):
            return Refused(str(error))
        if isinstance(error, TokenUnavailableError):
            return Unreachable(str(error))
        if self.kafka.uses_tokens and (refusal := await self._token_problem()) is not None:
            return Refused(refusal)
        if isinstance(error, SaslAuthenticationFailed):
            return Refused(
                f"{self.name}: user name or password is wrong, or not meant for {self.kafka.sasl_mechanism}; "
                "check SECRET_EVENTS_QUEUE_KAFKA_USERNAME and SECRET_EVENTS_QUEUE_KAFKA_PASSWORD"
            )
        if isinstance(error, ValueError) and self.kafka.uses_sasl:
            return Refused(
                f"{self.name}: the broker does not prove that it knows the password; "
                "see that it is yours, and its certificate verified"
            )
        return await self._look_again(error, cause)

    async def _token_problem(self) -> str | None:
        """Why the broker does not take our token; aiokafka only meets a closed connection then."""
        options = {
            "security_protocol": "SSL" if self.kafka.uses_ssl else "PLAINTEXT",
            "ssl_context": self.options.get("ssl_context"),
        }
        try:
            token = await self.options["sasl_oauth_token_provider"].token()
            said = await ask_token(self.host, self.port, ANSWER_SECONDS, token, **options)
        except (KafkaError, OSError, asyncio.TimeoutError):
            return None
        if said is None:
            return None
        claims = token_claims(token)
        ours = ", ".join(
            f"{name} {claims[name]}" for name in ("iss", "aud", "scope", "exp") if name in claims
        )
        return (
            f"{self.name}: the broker does not accept our token: {said.replace(token, '…')[:300]}"
            f"{f' (it has {ours})' if ours else ''}; see what the broker expects of one, and its clock"
        )

    async def _look_again(self, error: Exception, cause: BaseException) -> Access:
        """What a closed connection may come from; where nobody answers, there is nothing to look at."""
        wrong = None
        if not isinstance(
            cause, (asyncio.TimeoutError, TimeoutError, ConnectionRefusedError, socket.gaierror)
        ):
            wrong = await self._wrong_encryption() or await self._wrong_login(error)
        return Unreachable(f"{self.name}: {_in_words(cause)}") if wrong is None else Refused(wrong)

    async def _wrong_encryption(self) -> str | None:
        chosen = f"{_PROTOCOL} is {self.kafka.security_protocol}"
        if not self.kafka.uses_ssl and await self._speaks_tls():
            return f"{self.name}: it speaks TLS, and {chosen}; set it to SSL or SASL_SSL"
        if self.kafka.uses_ssl and (mechanisms := await self._mechanisms("PLAINTEXT")) is not None:
            clear = "SASL_PLAINTEXT" if mechanisms else "PLAINTEXT"
            return f"{self.name}: it speaks no TLS, and {chosen}; use its port for TLS, or set it to {clear}"
        return None

    async def _wrong_login(self, error: Exception) -> str | None:
        mechanisms = await self._mechanisms("SSL" if self.kafka.uses_ssl else "PLAINTEXT")
        if mechanisms is None:
            return None
        chosen, names = f"{_PROTOCOL} is {self.kafka.security_protocol}", ", ".join(mechanisms)
        if isinstance(error, UnsupportedSaslMechanismError):
            own = self.kafka.sasl_mechanism
            return f"{self.name}: it takes {names}, and {_MECHANISM} is {own}; set it to one of them"
        if self.kafka.uses_sasl and not mechanisms:
            without = self.kafka.security_protocol.removeprefix("SASL_")
            return f"{self.name}: it has no SASL, and {chosen}; use its port for SASL, or set it to {without}"
        if not self.kafka.uses_sasl and mechanisms:
            secure = "SASL_SSL" if self.kafka.uses_ssl else "SASL_PLAINTEXT"
            return f"{self.name}: it asks for a login by SASL ({names}), and {chosen}; set it to {secure}"
        return None

    async def _speaks_tls(self) -> bool:
        """Whether a TLS client is answered in TLS, be it by an alert; nothing is sent that is ours."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            opening = asyncio.open_connection(self.host, self.port, ssl=context)
            _reader, writer = await asyncio.wait_for(opening, ANSWER_SECONDS)
        except ssl.SSLError as error:
            return "ALERT" in (error.reason or "")
        except (OSError, asyncio.TimeoutError):
            return False
        writer.transport.abort()
        return True

    async def _mechanisms(self, security_protocol: str) -> list[str] | None:
        """The mechanisms that the port takes: none where it asks for no login, None where it does not say."""
        options = {"security_protocol": security_protocol, "ssl_context": self.options.get("ssl_context")}
        try:
            return await ask_mechanisms(self.host, self.port, ANSWER_SECONDS, **options)
        except (KafkaError, OSError, asyncio.TimeoutError):
            return None

    def _certificate_problem(self, error: ssl.SSLCertVerificationError) -> str:
        if error.verify_code in _CERTIFICATE_PROBLEMS:
            wrong, remedy = _CERTIFICATE_PROBLEMS[error.verify_code]
        else:
            wrong, remedy = f"is from nobody we believe ({error.verify_message})", _UNKNOWN_AUTHORITY
        return f"{self.name}: the broker's certificate {wrong}; {remedy}"

    def _alert_problem(self, reason: str) -> str:
        said = reason.partition("ALERT_")[2].replace("_", " ").lower()
        if "protocol version" in said:
            return f"{self.name}: it speaks no TLS 1.2 or newer ({said}); allow one of them at the broker"
        own = own_certificate(self.kafka)
        if own is None:
            return (
                f"{self.name}: it ends the TLS handshake ({said}), most likely as it asks for a certificate "
                f"of ours; set {_KEY_STORE}"
            )
        until = own.not_valid_after_utc
        validity = "expired on" if until < datetime.now(timezone.utc) else "valid until"
        return (
            f"{self.name}: it does not take our certificate ({said}), "
            f"{own.subject.rfc4514_string()}, {validity} {until:%Y-%m-%d}; "
            f"give {_KEY_STORE} a valid one, by an authority that the broker believes"
        )


def _host_and_port(server: str) -> tuple[str, int]:
    host, _, port = server.rpartition(":")
    return host.strip("[]"), int(port)


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _in_words(error: BaseException) -> str:
    if isinstance(error, asyncio.TimeoutError):
        return f"no answer within {ANSWER_SECONDS:g} s"
    if isinstance(error, asyncio.IncompleteReadError):
        return "it closed the connection"
    return str(error) or type(error).__name__
