"""TLS to receivers that are right, and wrong in one way each; and a certificate of our own."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from eventproc.destinations import build_destinations
from eventproc.destinations.business_server import DESTINATION_ID
from eventproc.http.sender import Sender
from eventproc.outcomes import FailureKind, NoResponse, Response
from settings import load_settings
from tests.contract.senders import MakeSender
from tests.servers.certificates import Authority
from tests.servers.raw import RawServer
from tests.servers.receiver import Receiver

MakeServer = Callable[[Authority], ssl.SSLContext]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path)


def another(tmp_path: Path) -> Authority:
    directory = tmp_path / "another"
    directory.mkdir()
    return Authority.make(directory)


@asynccontextmanager
async def business_server(
    make_sender: MakeSender, url: str, ca: Path | None, **api: object
) -> AsyncIterator[Sender]:
    """The sender that the configuration makes."""
    env = {
        "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true",
        "CALLBACK_API_BASE_URL": url,
        "CALLBACK_API_CA_CERTIFICATE_PATH": "" if ca is None else str(ca),
        "DELIVERY_REQUEST_TIMEOUT_SECONDS": "10",
        **{f"CALLBACK_API_{name.upper()}": str(value) for name, value in api.items()},
    }
    settings = load_settings(env=env)
    sender = make_sender(build_destinations(settings)[DESTINATION_ID].endpoint, settings.delivery)
    yield sender
    await sender.close()


async def post(
    make_sender: MakeSender, context: ssl.SSLContext, ca: Path | None, **api: object
) -> Response | NoResponse:
    async with (
        Receiver(tls=context, host="localhost") as server,
        business_server(make_sender, server.url, ca, **api) as sender,
    ):
        result: Response | NoResponse = await sender.send({}, b"body")
        assert len(server.requests) == isinstance(result, Response)
        return result


async def refused_by(make_sender: MakeSender, context: ssl.SSLContext, ca: Path, **api: object) -> str:
    """The detail of what we note. With a blocking server: asyncio's closes without saying why."""
    with RawServer(lambda: (b"HTTP/1.1 204 No\r\n\r\n",), tls=context) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        async with business_server(make_sender, url, ca, **api) as sender:
            result = await sender.send({}, b"body")
    assert isinstance(result, NoResponse)
    # In TLS 1.3 the refusal comes after our handshake, and can cross the request.
    late = context.maximum_version is not ssl.TLSVersion.TLSv1_2 and context.verify_mode is ssl.CERT_REQUIRED
    assert result.kind in ({FailureKind.TLS, FailureKind.CONNECT} if late else {FailureKind.TLS})
    assert server.requests == 0
    assert len(server.handshake_problems) == 1
    return result.detail


def wanting_a_certificate(authority: Authority) -> ssl.SSLContext:
    context = authority.server()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.path)
    return context


def at_most(version: ssl.TLSVersion) -> MakeServer:
    def make(authority: Authority) -> ssl.SSLContext:
        context = authority.server()
        context.set_ciphers("ALL:@SECLEVEL=0")  # else OpenSSL itself has no TLS 1.1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = version
        return context

    return make


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_private_authority_is_believed_when_configured(
    make_sender: MakeSender, authority: Authority, version: ssl.TLSVersion
) -> None:
    result = await post(make_sender, at_most(version)(authority), authority.path)
    assert isinstance(result, Response)
    assert result.status == 200


WRONG: dict[str, tuple[MakeServer, str]] = {
    "expired": (lambda authority: authority.server(days=-1), "expired"),
    "wrong host": (lambda authority: authority.server(["other.example.com"]), "match"),
    "self-signed": (lambda authority: authority.server(self_signed=True), "self-signed"),
}


@pytest.mark.parametrize(("make", "reason"), WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_certificate_gets_no_event(
    make_sender: MakeSender, authority: Authority, make: MakeServer, reason: str
) -> None:
    result = await post(make_sender, make(authority), authority.path)
    assert isinstance(result, NoResponse)
    assert result.kind is FailureKind.TLS
    assert reason in result.detail


async def test_another_authority_is_not_believed(
    make_sender: MakeSender, authority: Authority, tmp_path: Path
) -> None:
    for ca in (another(tmp_path).path, None):
        result = await post(make_sender, authority.server(), ca)
        assert isinstance(result, NoResponse)
        assert result.kind is FailureKind.TLS
        assert "unable to get local issuer certificate" in result.detail, "the reason, whole"


@pytest.mark.parametrize("check", ["true", "false"])
async def test_tls_1_1_is_refused_even_unverified(
    make_sender: MakeSender, authority: Authority, check: str
) -> None:
    server = at_most(ssl.TLSVersion.TLSv1_1)(authority)
    detail = await refused_by(make_sender, server, authority.path, check_certificate=check)
    assert "version" in detail.lower()
    assert "TLS 1.1" in detail, "what to look at"


async def test_unverified_is_only_by_setting(make_sender: MakeSender, authority: Authority) -> None:
    result = await post(
        make_sender, authority.server(["other.example.com"], days=-1), None, check_certificate="false"
    )
    assert isinstance(result, Response)


async def test_plain_http_behind_https_is_a_tls_problem(
    make_sender: MakeSender, authority: Authority
) -> None:
    async with (
        Receiver() as plain,
        business_server(make_sender, f"https://{plain.netloc}", authority.path) as sender,
    ):
        result = await sender.send({}, b"body")
        assert isinstance(result, NoResponse)
        assert result.kind is FailureKind.TLS
        assert plain.requests == []


async def test_a_handshake_that_is_cut_off_is_a_tls_problem(
    make_sender: MakeSender, authority: Authority
) -> None:
    async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    server = await asyncio.start_server(cut_off, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, business_server(make_sender, f"https://localhost:{port}", authority.path) as sender:
        result = await sender.send({}, b"body")
    assert isinstance(result, NoResponse)
    assert result.kind is FailureKind.TLS
    assert "is this port TLS at all?" in result.detail


async def test_a_server_that_wants_a_certificate_gets_ours(
    make_sender: MakeSender, authority: Authority, tmp_path: Path
) -> None:
    ours = authority.identity(["eventproc"]).write_pem(tmp_path / "client.pem")
    server = wanting_a_certificate(authority)
    result = await post(make_sender, server, authority.path, client_certificate_path=ours)
    assert isinstance(result, Response)
    assert result.status == 200


async def test_key_and_certificate_may_stand_in_two_files(
    make_sender: MakeSender, authority: Authority, tmp_path: Path
) -> None:
    text = authority.identity(["eventproc"]).write_pem(tmp_path / "client.pem").read_bytes()
    key, _, certificate = text.partition(b"-----BEGIN CERTIFICATE-----")
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "certificate.pem").write_bytes(b"-----BEGIN CERTIFICATE-----" + certificate)
    paths = {
        "client_certificate_path": tmp_path / "certificate.pem",
        "client_key_path": tmp_path / "key.pem",
    }
    result = await post(make_sender, wanting_a_certificate(authority), authority.path, **paths)
    assert isinstance(result, Response)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("whose", ["none", "another authority's"])
async def test_without_the_right_certificate_we_are_refused(
    make_sender: MakeSender, authority: Authority, tmp_path: Path, whose: str, version: ssl.TLSVersion
) -> None:
    api: dict[str, object] = {}
    if whose != "none":
        theirs = another(tmp_path).identity(["eventproc"])
        api["client_certificate_path"] = theirs.write_pem(tmp_path / "client.pem")
    server = wanting_a_certificate(authority)
    server.maximum_version = version
    await refused_by(make_sender, server, authority.path, **api)


@pytest.mark.parametrize("content", ["", "no PEM at all", "locked"])
async def test_files_that_cannot_be_used_are_a_failure_and_no_crash(
    make_sender: MakeSender, authority: Authority, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "client.pem"
    path.write_text(content)
    if content == "locked":
        authority.identity(["eventproc"]).write_pem(path, "password")
    result = await post(make_sender, authority.server(), authority.path, client_certificate_path=path)
    assert isinstance(result, NoResponse)
    assert result.kind is FailureKind.TLS
    if content != "locked":
        result = await post(make_sender, authority.server(), path)
        assert isinstance(result, NoResponse)
        assert result.kind is FailureKind.TLS


async def test_what_a_receiver_has_not_read_is_not_before_the_next_event(
    make_sender: MakeSender, authority: Authority
) -> None:
    """It answers a large body at once and reads no more; TLS takes in all we write, and says it is written."""
    answer = b"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n"
    with RawServer(lambda: (answer,), tls=authority.server(), reads_bodies=False) as server:
        async with business_server(
            make_sender, server.url.replace("127.0.0.1", "localhost"), authority.path
        ) as sender:
            for body in (b"x" * (8 << 20), b"small"):
                result = await sender.send({}, body)
                assert isinstance(result, Response)
                assert result.status == 413
        assert server.connections == 2
