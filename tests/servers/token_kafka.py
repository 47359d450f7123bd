"""An Apache Kafka that takes tokens (SASL OAUTHBEARER), and an OAuth 2 endpoint that gives them.

``oauth`` takes unsigned JWTs, as Kafka's own validator for tests does; ``aws`` takes what AWS's library makes.
Sessions of both are short: the broker closes a connection that goes on after its token's life.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from typing_extensions import Self

from tests.servers.certificates import Authority
from tests.servers.kafka import ApacheKafka
from tests.servers.kafka_jars import classpath
from tests.servers.ports import LOOPBACK, free_port

AWS_KEY: Final = "AKIATESTTESTTEST4711"
AWS_SECRET: Final = "an-aws-secret-access-key-0815"
AWS_REGION: Final = "eu-central-1"
CLIENT_ID: Final = "eventproc test/client"
CLIENT_SECRET: Final = "a client's secret, 4242+/="
SESSION_SECONDS: Final = 4
_SOURCE: Final = Path(__file__).with_name("AwsTokenValidator.java")
_BEARER: Final = "org.apache.kafka.common.security.oauthbearer"


class TokenKafka(ApacheKafka):
    """One node with the listeners ``oauth`` (SASL_PLAINTEXT) and ``aws`` (SASL_SSL).

    Args:
        directory: for the authority, the certificate and the validator's class.
    """

    def __init__(self, directory: Path) -> None:
        self.authority = Authority.make(directory)
        options = {
            "test.aws.key": AWS_KEY,
            "test.aws.region": AWS_REGION,
            "test.aws.session.ms": str(SESSION_SECONDS * 1000),
        }
        super().__init__(
            jvm_options=[f"-D{name}={value}" for name, value in options.items()],
            extra_classes=_compile(directory / "classes"),
        )
        self._ports = {"oauth": free_port(), "aws": free_port()}
        protocols = {"oauth": "SASL_PLAINTEXT", "aws": "SASL_SSL"}
        for name, port in self._ports.items():
            address = f"{name.upper()}://{LOOPBACK}:{port}"
            self.properties["listeners"] += f",{address}"
            self.properties["advertised.listeners"] += f",{address}"
            self.properties["listener.security.protocol.map"] += f",{name.upper()}:{protocols[name]}"
            prefix = f"listener.name.{name}."
            self.properties |= {
                f"{prefix}sasl.enabled.mechanisms": "OAUTHBEARER",
                f"{prefix}oauthbearer.sasl.jaas.config": (
                    f"{_BEARER}.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=broker;"
                ),
                f"{prefix}oauthbearer.connections.max.reauth.ms": str(SESSION_SECONDS * 1000),
            }
        validator = "oauthbearer.sasl.server.callback.handler.class"
        unsecured = f"{_BEARER}.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler"
        certificate = self.authority.identity([LOOPBACK]).write_pem(directory / "broker.pem")
        self.properties |= {
            f"listener.name.oauth.{validator}": unsecured,
            f"listener.name.aws.{validator}": "AwsTokenValidator",
            "listener.name.aws.ssl.keystore.type": "PEM",
            "listener.name.aws.ssl.keystore.location": str(certificate),
        }

    def server(self, listener: str) -> str:
        """``host:port`` of a listener."""
        return f"{LOOPBACK}:{self._ports[listener]}"


class TokenEndpoint:
    """Gives an unsigned JWT for ``CLIENT_ID`` and ``CLIENT_SECRET``; ``url`` while it is entered."""

    def __init__(self) -> None:
        self.life_seconds = float(SESSION_SECONDS)
        self.claims: dict[str, Any] = {"sub": "eventproc", "scope": "kafka"}
        self.given: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.status = 200
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/token", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        port = free_port()
        await web.TCPSite(self._runner, LOOPBACK, port).start()
        self.url = f"http://{LOOPBACK}:{port}/token"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        if self.status != 200:
            return web.json_response({"error": "temporarily_unavailable"}, status=self.status)
        login = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        if login != "eventproc%20test%2Fclient:a%20client%27s%20secret%2C%204242%2B%2F%3D":
            described = {"error": "invalid_client", "error_description": "Client authentication failed"}
            return web.json_response(described, status=401)
        now = time.time()
        token = _jwt({**self.claims, "iat": now, "exp": now + self.life_seconds})
        self.given.append(token)
        return web.json_response(
            {"access_token": token, "token_type": "Bearer", "expires_in": self.life_seconds}
        )


def _jwt(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none"}, claims)
    return "".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") + "." for part in parts
    )


def _compile(directory: Path) -> Path:
    """The validator's class, compiled against the broker's own jars."""
    command = ["javac", "-cp", classpath(), "-d", str(directory), str(_SOURCE)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise RuntimeError(f"javac failed: {done.stdout}{done.stderr}")
    return directory
