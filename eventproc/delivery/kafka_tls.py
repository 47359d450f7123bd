"""TLS towards Kafka from the stores an anchor has: PEM, PKCS12 or the old Java format.

Which one a file is, its first bytes tell, not its name: most files called ``.jks`` are PKCS12 today.
"""

from __future__ import annotations

import secrets
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_der_private_key,
    pkcs12,
)
from cryptography.x509 import Certificate, load_der_x509_certificate, load_pem_x509_certificates
from pydantic import SecretStr

from eventproc.delivery import java_keystore
from eventproc.errors import EventprocError
from settings.events import KafkaSettings

_PEM_MARK: Final = b"-----BEGIN"
_JCEKS_MAGIC: Final = b"\xce\xce\xce\xce"
_KEY_STORE: Final = "events.queue.kafka.ssl_keystore_location"
_TRUST_STORE: Final = "events.queue.kafka.ssl_truststore_location"


class KeyStoreError(EventprocError):
    """A key or trust store that cannot be used; names setting and file, never a password."""


@dataclass(frozen=True, slots=True)
class _StoreFile:
    """A store that is still to be read, and what opens it."""

    setting: str
    path: Path
    password: SecretStr | None
    variable: str

    def error(self, wrong: str) -> KeyStoreError:
        return KeyStoreError(f"{self.setting}: {self.path}: {wrong}")

    @property
    def text(self) -> str | None:
        return None if self.password is None else self.password.get_secret_value()

    @property
    def locked(self) -> str:
        """What is most likely wrong with a store that does not open."""
        if self.password is None:
            return f"it is locked, or damaged, and {self.variable} is not set"
        return f"it is damaged, or {self.variable} is not its password"


@dataclass(frozen=True, slots=True)
class _Contents:
    """A store's certificates, our own first where it has a key. A key in PEM is left to OpenSSL."""

    certificates: list[Certificate]
    key: PrivateKeyTypes | None = None


def kafka_ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """The context for every Kafka client of this worker.

    Raises:
        KeyStoreError: a store is missing, damaged or locked with another password.
    """
    context = ssl.create_default_context(cadata=_trusted(kafka))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # As Java's clients believe: any certificate in the trust store, also one that is no root, and authorities
    # made by keytool, without the extensions that Python asks for since 3.13.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if kafka.ssl_keystore_location is not None:
        _load_own(context, kafka)
    if not kafka.ssl_verify_cert:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def own_certificate(kafka: KafkaSettings) -> Certificate | None:
    """The certificate that brokers are shown, None without a key store.

    Raises:
        KeyStoreError: the key store cannot be used.
    """
    if kafka.ssl_keystore_location is None:
        return None
    return _read(_key_store(kafka)).certificates[0]


def _key_store(kafka: KafkaSettings) -> _StoreFile:
    path = Path(kafka.ssl_keystore_location or "")
    return _StoreFile(_KEY_STORE, path, kafka.ssl_keystore_password, "SECRET_SSL_KEYSTORE_PASSWORD")


def _trusted(kafka: KafkaSettings) -> bytes | None:
    """What the trust store holds as DER; None for the system's authorities, or where nothing is verified."""
    if kafka.ssl_truststore_location is None or not kafka.ssl_verify_cert:
        return None
    path = Path(kafka.ssl_truststore_location)
    file = _StoreFile(_TRUST_STORE, path, kafka.ssl_truststore_password, "SECRET_SSL_TRUSTSTORE_PASSWORD")
    return b"".join(one.public_bytes(Encoding.DER) for one in _read(file).certificates)


def _load_own(context: ssl.SSLContext, kafka: KafkaSettings) -> None:
    """OpenSSL reads a key from a file only: what was no PEM goes there, locked with a one-time password."""
    file = _key_store(kafka)
    key_password = kafka.ssl_key_password or kafka.ssl_keystore_password
    raw = _bytes_of(file)
    if _PEM_MARK in raw:
        _load_pem(context, file, raw, key_password)
        return
    own = _read(file, key_password or SecretStr(""))
    if own.key is None:
        raise file.error(
            "there is no private key in it; the certificates to believe belong into the trust store"
        )
    password = secrets.token_hex(16)
    locked = BestAvailableEncryption(password.encode())
    with tempfile.NamedTemporaryFile(prefix="eventproc-", suffix=".pem") as pem:
        pem.write(own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
        pem.writelines(one.public_bytes(Encoding.PEM) for one in own.certificates)
        pem.flush()
        try:
            context.load_cert_chain(pem.name, password=password)
        except ssl.SSLError as error:
            raise file.error(f"its key and certificate cannot be used ({error.reason})") from error


def _load_pem(context: ssl.SSLContext, file: _StoreFile, raw: bytes, password: SecretStr | None) -> None:
    if b"PRIVATE KEY-----" not in raw:
        raise file.error("there is no private key in it; PEM needs key and certificates in the one file")
    _read(file)
    try:
        # Without a password OpenSSL would ask for one on the terminal, and wait.
        context.load_cert_chain(file.path, password="" if password is None else password.get_secret_value())
    except (ssl.SSLError, ValueError) as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            raise file.error("the private key is not that of the first certificate in it") from error
        raise file.error(
            "the private key cannot be read: it is damaged, or SECRET_SSL_KEY_PASSWORD is not its password"
        ) from error


def _read(file: _StoreFile, key_password: SecretStr | None = None) -> _Contents:
    """What is in a store; the key only where its password is given."""
    raw = _bytes_of(file)
    if _PEM_MARK in raw:
        contents = _read_pem(file, raw)
    elif raw.startswith(java_keystore.MAGIC):
        contents = _read_jks(file, raw, key_password)
    elif raw.startswith(_JCEKS_MAGIC):
        raise file.error(
            "a JCEKS store cannot be read here; convert it: keytool -importkeystore -srcstoretype JCEKS "
            f"-srckeystore {file.path} -deststoretype PKCS12 -destkeystore NEW"
        )
    else:
        contents = _read_pkcs12(file, raw)
    if not contents.certificates:
        raise file.error("there is no certificate in it")
    return contents


def _bytes_of(file: _StoreFile) -> bytes:
    try:
        return file.path.read_bytes()
    except OSError as error:
        raise file.error(f"it cannot be read ({error.strerror})") from error


def _read_pem(file: _StoreFile, raw: bytes) -> _Contents:
    try:
        return _Contents(load_pem_x509_certificates(raw))
    except ValueError as error:
        raise file.error("there is no certificate in it that can be read") from error


def _read_pkcs12(file: _StoreFile, raw: bytes) -> _Contents:
    password = file.text
    try:
        store = pkcs12.load_pkcs12(raw, None if password is None else password.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise file.error(f"neither PEM nor JKS, and as PKCS12 it does not open: {file.locked}") from error
    own = [] if store.cert is None else [store.cert.certificate]
    return _Contents(own + [extra.certificate for extra in store.additional_certs], store.key)


def _read_jks(file: _StoreFile, raw: bytes, key_password: SecretStr | None) -> _Contents:
    try:
        store = java_keystore.read_java_key_store(raw, file.text)
    except java_keystore.JavaKeyStoreError as error:
        raise file.error(f"the JKS store does not open: {file.locked}") from error
    try:
        certificates = [load_der_x509_certificate(der) for der in (*store.chain, *store.trusted)]
        key = None
        if store.locked_key is not None and key_password is not None:
            der = java_keystore.unlock_key(store.locked_key, key_password.get_secret_value())
            key = load_der_private_key(der, None)
    except java_keystore.JavaKeyStoreError as error:
        raise file.error(f"{error}: check SECRET_SSL_KEY_PASSWORD") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise file.error("a certificate or key in the JKS store cannot be read") from error
    return _Contents(certificates, key)
