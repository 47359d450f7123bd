"""Tokens that log us in to Kafka by SASL OAUTHBEARER: of an OAuth 2 endpoint, or AWS's own for MSK.

aiokafka (0.14) asks for a token whenever it connects and never logs in again on an open connection (KIP-368).
Where brokers limit sessions (``connections.max.reauth.ms``, or the token's life if that is shorter), they
close a connection whose session is over at its next request, and aiokafka connects again, with the token that
is then right. So a token is renewed here well before it expires, and every new connection gets one with at
least a fifth of its life left.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import aiohttp
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaError

from eventproc.errors import ConfigurationError, TokenError
from settings import Settings
from settings.consumer import OAuthBearerSettings

RENEW_AFTER: Final = 0.8
"""Of a token's life. The rest is for the endpoint to be away."""
DEFAULT_LIFE_SECONDS: Final = 300.0
"""Of a token that does not say."""
REPEAT_SECONDS: Final = 1.0
"""A refusal stands this long: several connections at once, tried over and over, are one question."""
ANSWER_SECONDS: Final = 10.0
_ANSWER_BYTES: Final = 64 * 1024
_MSK_HOST: Final = re.compile(r"\.kafka(?:-serverless)?\.([a-z0-9-]+)\.amazonaws\.com")


class TokenRefusedError(TokenError, KafkaError):
    """The endpoint, or AWS, gives us no token. Also an error of aiokafka's, which expects no others."""


class TokenUnavailableError(TokenError, KafkaError):
    """No answer, or one that may be another soon."""

    retriable = True


@dataclass(frozen=True, slots=True)
class Token:
    """What Kafka is shown, and from when to when (Unix seconds)."""

    value: str
    obtained_at: float
    expires_at: float

    def is_fresh(self, now: float) -> bool:
        """Whether it need not be renewed yet."""
        return now < self.obtained_at + RENEW_AFTER * (self.expires_at - self.obtained_at)


TokenSource: TypeAlias = Callable[[], Awaitable[Token]]


class TokenProvider(AbstractTokenProvider):
    """Keeps a token and renews it in time.

    One may be asked from several event loops, as Faust's consumer has a thread of its own; so nothing here
    belongs to a loop, and two that ask at the same moment may get a token each.
    """

    def __init__(self, fetch: TokenSource, now: Callable[[], float] = time.time) -> None:
        self._fetch = fetch
        self._now = now
        self._token: Token | None = None
        self._refusal: tuple[float, TokenError] | None = None

    async def token(self) -> str:
        """A token that is good for a while.

        Raises:
            TokenRefusedError, TokenUnavailableError: there is none; one that is still good is used meanwhile.
        """
        token, now = self._token, self._now()
        if token is not None and token.is_fresh(now):
            return token.value
        try:
            if self._refusal is not None and now < self._refusal[0] + REPEAT_SECONDS:
                raise self._refusal[1]
            self._token = token = await self._fetch()
        except TokenError as error:
            if self._refusal is None or self._refusal[1] is not error:
                self._refusal = now, error
            if token is None or token.expires_at <= now:
                raise
        return token.value


def token_provider(settings: Settings) -> TokenProvider:
    """The provider for the login that the settings choose.

    Raises:
        ConfigurationError: AWS's library is not installed, or the region is not known.
    """
    if not settings.events.queue.uses_iam:
        oauth = settings.consumer.oauthbearer
        return TokenProvider(lambda: fetch_by_client_credentials(oauth))
    region = msk_region(settings)
    return TokenProvider(lambda: fetch_from_aws(region))


async def fetch_by_client_credentials(oauth: OAuthBearerSettings) -> Token:
    """A token for our client id and secret (RFC 6749, 4.4; the client in HTTP Basic, 2.3.1)."""
    url, secret = oauth.token_endpoint_url or "", oauth.client_secret
    form = {"grant_type": "client_credentials"} | ({"scope": oauth.scope} if oauth.scope else {})
    login = aiohttp.encode_basic_auth(
        quote(oauth.client_id or "", safe=""),
        quote(secret.get_secret_value() if secret is not None else "", safe=""),
    )
    began = time.time()
    try:
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(
                url,
                data=form,
                headers={"Accept": "application/json", "Authorization": login},
                allow_redirects=False,
            ) as response,
        ):
            status, answer = response.status, _as_object(await response.content.read(_ANSWER_BYTES))
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
        raise TokenUnavailableError(f"no token from {url}: {str(error) or type(error).__name__}") from error
    value = answer.get("access_token")
    if status != 200 or not isinstance(value, str) or not value:
        raise _refusal(url, status, answer)
    return Token(value, began, began + _life_seconds(answer, value, began))


async def fetch_from_aws(region: str) -> Token:
    """A token that AWS's library signs with the credentials it finds, in a thread: it may ask the network."""
    return await asyncio.get_running_loop().run_in_executor(None, _sign_for_aws, region)


def msk_region(settings: Settings) -> str:
    """The region of the brokers: by their host, else as AWS's library finds it (``AWS_REGION``, the profile).

    Raises:
        ConfigurationError: there is none, or the library is not installed.
    """
    if find_spec("aws_msk_iam_sasl_signer") is None:
        missing = "events.queue.msk.use_iam is true, and AWS's token library is not installed"
        raise ConfigurationError([f"{missing}: pip install 'eventproc[msk]'"])
    found = _MSK_HOST.search(settings.events.queue.kafka.bootstrap_server)
    if found is not None:
        return found[1]
    from botocore.session import Session  # noqa: PLC0415 - an extra

    # botocore looks at AWS_DEFAULT_REGION and the profile; AWS_REGION is what AWS's other libraries look at.
    region = os.environ.get("AWS_REGION") or Session().get_config_variable("region")
    if not region:
        hosts = settings.events.queue.kafka.bootstrap_server
        raise ConfigurationError([f"{hosts} is in no region that its name shows: set AWS_REGION"])
    return str(region)


def _sign_for_aws(region: str) -> Token:
    from aws_msk_iam_sasl_signer import MSKAuthTokenProvider  # noqa: PLC0415 - an extra
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - an extra

    began = time.time()
    try:
        value, expires_at_ms = MSKAuthTokenProvider.generate_auth_token(region)
    except (BotoCoreError, OSError) as error:
        raise TokenUnavailableError(f"no token from AWS: {error}") from error
    except (AttributeError, ValueError) as error:  # as the library meets credentials that are not there
        hint = "give the pod or machine a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        raise TokenRefusedError(f"no token from AWS: no credentials were found; {hint}") from error
    return Token(value, began, expires_at_ms / 1000)


def _refusal(url: str, status: int, answer: Mapping[str, Any]) -> TokenError:
    """By RFC 6749, 5.2: ``error`` is one of a few words; ``error_description`` is written for developers."""
    reason = ": ".join(str(answer[name])[:200] for name in ("error", "error_description") if answer.get(name))
    said = f"no token from {url}: HTTP {status}" + (f" ({reason})" if reason else "")
    if status in {408, 425, 429} or status >= 500:
        return TokenUnavailableError(said)
    return TokenRefusedError(
        f"{said}; check consumer.oauthbearer.client_id, scope and SECRET_CONSUMER_OAUTHBEARER_CLIENT_SECRET"
    )


def _life_seconds(answer: Mapping[str, Any], token: str, now: float) -> float:
    """As the answer says, else the token itself, where it is a JWT."""
    life = answer.get("expires_in")
    if isinstance(life, (int, float, str)) and str(life).replace(".", "", 1).isdigit():
        return float(life)
    expires = token_claims(token).get("exp")
    return expires - now if isinstance(expires, (int, float)) else DEFAULT_LIFE_SECONDS


def token_claims(token: str) -> Mapping[str, Any]:
    """What a JWT says, not verified; nothing of a token that is none, as AWS's are."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        return _as_object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}


def _as_object(text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}
