from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, load_der_x509_certificate
from cryptography.x509.oid import NameOID

from eventproc.delivery.kafka_tls import KeyStoreError, kafka_ssl_context, own_certificate
from settings.events import KafkaSettings
from tests.servers.certificates import Authority, Identity
from tests.unit.settings.loading import Loading

PASSWORD = "a-store-password-4242"
WRONG = "not-the-password-at-all"
Variables = Mapping[str, str]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "authority").mkdir()
    return Authority.make(tmp_path / "authority")


@pytest.fixture
def settings_for(tmp_path: Path) -> Callable[[Variables], KafkaSettings]:
    """The section with these variables set."""

    def load(env: Variables) -> KafkaSettings:
        protocol = {"EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL": "SSL"}
        return Loading(tmp_path).load(env=protocol | dict(env)).events.queue.kafka

    return load


SettingsFor = Callable[[Variables], KafkaSettings]


def key_store(path: Path, **secrets: str) -> dict[str, str]:
    return {"EVENTS_QUEUE_KAFKA_SSL_KEYSTORE_LOCATION": str(path), **secrets}


def trust_store(path: Path, **secrets: str) -> dict[str, str]:
    return {"EVENTS_QUEUE_KAFKA_SSL_TRUSTSTORE_LOCATION": str(path), **secrets}


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str = "localhost") -> str | None:
    """A TLS handshake in memory: the name in the certificate that the server was shown."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    left = [ours, theirs]
    for _ in range(10):
        for side in list(left):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            left.remove(side)
        if not left:
            break
    assert left == []
    shown = theirs.getpeercert(binary_form=True)
    return None if shown is None else common_name(load_der_x509_certificate(shown))


def common_name(certificate: Certificate) -> str:
    (found,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found.value)


def asking_server(authority: Authority) -> ssl.SSLContext:
    context = authority.server()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.path)
    return context


@pytest.mark.parametrize("kind", ["pem", "locked pem", "pkcs12"])
def test_the_key_store_is_shown_to_a_broker_that_asks(
    authority: Authority, settings_for: SettingsFor, tmp_path: Path, kind: str
) -> None:
    identity, path = authority.identity(["anchor"]), tmp_path / "own"
    if kind == "pkcs12":
        identity.write_pkcs12(path, PASSWORD)
        env = key_store(path, SECRET_SSL_KEYSTORE_PASSWORD=PASSWORD)
    else:
        identity.write_pem(path, PASSWORD if kind == "locked pem" else None)
        env = key_store(path, SECRET_SSL_KEY_PASSWORD=PASSWORD)
    kafka = settings_for(env | trust_store(authority.path))

    assert shake_hands(kafka_ssl_context(kafka), asking_server(authority)) == "anchor"
    own = own_certificate(kafka)
    assert own is not None
    assert common_name(own) == "anchor"


def test_no_key_is_left_behind(
    authority: Authority, settings_for: SettingsFor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = authority.identity(["anchor"]).write_pkcs12(tmp_path / "own.p12", PASSWORD)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    kafka_ssl_context(settings_for(key_store(path, SECRET_SSL_KEYSTORE_PASSWORD=PASSWORD)))

    assert list(temporary.iterdir()) == []


def test_only_what_the_trust_store_holds_is_believed(
    authority: Authority, settings_for: SettingsFor, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority.make(tmp_path / "other")

    context = kafka_ssl_context(settings_for(trust_store(authority.path)))

    shake_hands(context, authority.server())
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(context, other.server())
    with pytest.raises(ssl.SSLCertVerificationError, match="ostname"):
        shake_hands(context, authority.server(["elsewhere"]))


def test_a_brokers_own_certificate_in_the_trust_store_is_believed_as_java_does(
    authority: Authority, settings_for: SettingsFor, tmp_path: Path
) -> None:
    identity = authority.identity(["localhost"])
    (tmp_path / "trust.pem").write_bytes(identity.certificate.public_bytes(Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(identity.write_pem(tmp_path / "server.pem"))

    context = kafka_ssl_context(settings_for(trust_store(tmp_path / "trust.pem")))

    shake_hands(context, server)
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT


def test_text_around_a_certificate_is_passed_over(
    authority: Authority, settings_for: SettingsFor, tmp_path: Path
) -> None:
    (tmp_path / "trust.pem").write_bytes("Größte Wurzel\n".encode() + authority.path.read_bytes())
    shake_hands(kafka_ssl_context(settings_for(trust_store(tmp_path / "trust.pem"))), authority.server())


def test_nothing_older_than_tls_1_2_is_spoken(settings_for: SettingsFor) -> None:
    assert kafka_ssl_context(settings_for({})).minimum_version == ssl.TLSVersion.TLSv1_2


def test_without_verification_the_trust_store_is_not_read(
    authority: Authority, settings_for: SettingsFor, tmp_path: Path
) -> None:
    env = trust_store(tmp_path / "nowhere") | {"EVENTS_QUEUE_KAFKA_SSL_VERIFY_CERT": "false"}
    shake_hands(kafka_ssl_context(settings_for(env)), authority.server(["elsewhere"]))


def both(identity: Identity, other: Identity) -> bytes:
    """The key of one with the certificate of another."""
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = (one.write_pem(Path(folder, "x")).read_bytes() for one in (identity, other))
    mark = b"-----BEGIN CERTIFICATE"
    return key.partition(mark)[0] + mark + certificate.partition(mark)[2]


@pytest.mark.parametrize(
    ("make", "env", "said"),
    [
        pytest.param(
            lambda one, _, path: one.write_pkcs12(path, PASSWORD),
            {"SECRET_SSL_KEYSTORE_PASSWORD": WRONG},
            "SECRET_SSL_KEYSTORE_PASSWORD is not its password",
            id="PKCS12, wrong password",
        ),
        pytest.param(
            lambda one, _, path: one.write_pkcs12(path, PASSWORD),
            {},
            "SECRET_SSL_KEYSTORE_PASSWORD is not set",
            id="PKCS12, no password",
        ),
        pytest.param(
            lambda one, _, path: one.write_pem(path, PASSWORD),
            {"SECRET_SSL_KEY_PASSWORD": WRONG},
            "SECRET_SSL_KEY_PASSWORD is not its password",
            id="PEM, wrong password",
        ),
        pytest.param(
            lambda one, _, path: one.write_pem(path, PASSWORD),
            {},
            "SECRET_SSL_KEY_PASSWORD is not its password",
            id="PEM, no password",
        ),
        pytest.param(
            lambda one, _, path: path.write_bytes(one.certificate.public_bytes(Encoding.PEM)),
            {},
            "there is no private key in it",
            id="PEM, no key",
        ),
        pytest.param(
            lambda one, _, path: path.write_bytes(
                one.write_pem(path).read_bytes().partition(b"-----BEGIN C")[0]
            ),
            {},
            "there is no certificate in it",
            id="PEM, no certificate",
        ),
        pytest.param(
            lambda one, other, path: path.write_bytes(both(one, other)),
            {},
            "the private key is not that of the first certificate",
            id="PEM, key of another",
        ),
        pytest.param(lambda _, __, path: path.write_bytes(b""), {}, "neither PEM nor JKS", id="empty"),
        pytest.param(
            lambda _, __, path: path.write_bytes(b"\xfe\xed\xfe\xed"),
            {},
            "the JKS store does not open",
            id="JKS, cut",
        ),
        pytest.param(
            lambda _, __, path: path.write_bytes(b"\xce\xce\xce\xce"), {}, "-deststoretype PKCS12", id="JCEKS"
        ),
    ],
)
def test_a_key_store_that_cannot_be_used_is_named_with_what_is_wrong(
    authority: Authority,
    settings_for: SettingsFor,
    make: Callable[[Identity, Identity, Path], object],
    env: Variables,
    said: str,
) -> None:
    path = authority.directory / "own.store"
    make(authority.identity(["a"]), authority.identity(["b"]), path)

    with pytest.raises(KeyStoreError) as caught:
        kafka_ssl_context(settings_for(key_store(path) | dict(env)))

    message = str(caught.value)
    assert message.startswith(f"events.queue.kafka.ssl_keystore_location: {path}: ")
    assert said in message
    assert PASSWORD not in message
    assert WRONG not in message


def test_a_store_that_is_gone_is_named(settings_for: SettingsFor, tmp_path: Path) -> None:
    path = tmp_path / "trust.pem"
    path.touch()
    kafka = settings_for(trust_store(path))
    path.unlink()

    with pytest.raises(KeyStoreError, match=r"ssl_truststore_location: .*it cannot be read \(No such file"):
        kafka_ssl_context(kafka)
