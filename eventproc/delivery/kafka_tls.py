"""TLS towards Kafka from the stores an anchor has: PEM, PKCS12 or the old Java format.

Which one a file is, its first bytes tell, not its name.
"""

from __future__ import annotations

import base64
import os
import ssl
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12
from cryptography.x509 import Certificate
from pydantic import SecretStr

from eventproc.errors import EventprocError
from settings.events import KafkaSettings

_PEM_MARK: Final = b"-----BEGIN"
_JKS_MARK: Final = b"\xfe\xed\xfe\xed"


class KeyStoreError(EventprocError):
    """A key or trust store that cannot be read; names the file, never a password."""


@dataclass(frozen=True, slots=True)
class _Store:
    """PEM text of what a store holds; ``key`` is None where there is only trust."""

    certificates: bytes
    key: bytes | None


def kafka_ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """The context for every Kafka client of this worker.

    Raises:
        KeyStoreError: a store is missing, damaged or locked with another password.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if kafka.ssl_truststore_location is not None:
        trust = _read(Path(kafka.ssl_truststore_location), kafka.ssl_truststore_password)
        context = ssl.create_default_context(cadata=trust.certificates.decode())
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    if kafka.ssl_keystore_location is not None:
        own = _read(Path(kafka.ssl_keystore_location), kafka.ssl_keystore_password)
        _load_own(context, own, kafka)
    if not kafka.ssl_verify_cert:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_own(context: ssl.SSLContext, own: _Store, kafka: KafkaSettings) -> None:
    """OpenSSL reads a chain from a file only: a private one, gone at once."""
    if own.key is None:
        raise KeyStoreError(f"{kafka.ssl_keystore_location}: there is no private key in it")
    password = kafka.ssl_key_password or kafka.ssl_keystore_password
    handle, name = tempfile.mkstemp(prefix="eventproc-", suffix=".pem")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(own.key + b"\n" + own.certificates)
        context.load_cert_chain(name, password=None if password is None else password.get_secret_value())
    except ssl.SSLError as error:
        raise KeyStoreError(
            f"{kafka.ssl_keystore_location}: the private key cannot be used ({error.reason}): "
            "check SECRET_SSL_KEY_PASSWORD"
        ) from error
    finally:
        Path(name).unlink(missing_ok=True)


def _read(path: Path, password: SecretStr | None) -> _Store:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise KeyStoreError(f"{path}: {error.strerror}") from error
    text = None if password is None else password.get_secret_value()
    if _PEM_MARK in raw[:4096] or _PEM_MARK in raw:
        has_key = b"PRIVATE KEY-----" in raw
        return _Store(raw, raw if has_key else None)
    if raw.startswith(_JKS_MARK):
        return _read_jks(path, raw, text or "")
    return _read_pkcs12(path, raw, text)


def _read_pkcs12(path: Path, raw: bytes, password: str | None) -> _Store:
    try:
        store = pkcs12.load_pkcs12(raw, None if password is None else password.encode())
    except ValueError as error:
        raise KeyStoreError(
            f"{path}: neither PEM nor JKS, and as PKCS12 it cannot be read: wrong password, or damaged"
        ) from error
    found: list[Certificate] = [] if store.cert is None else [store.cert.certificate]
    found += [extra.certificate for extra in store.additional_certs]
    key = (
        None
        if store.key is None
        else store.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return _Store(b"".join(one.public_bytes(Encoding.PEM) for one in found), key)


def _read_jks(path: Path, raw: bytes, password: str) -> _Store:
    try:
        import jks  # noqa: PLC0415 - an extra, as it compiles C code
    except ImportError as error:
        raise KeyStoreError(
            f"{path}: a JKS store needs `pip install 'eventproc[jks]'`; or convert it once: "
            "keytool -importkeystore -srckeystore … -destkeystore … -deststoretype PKCS12"
        ) from error
    try:
        store: Any = jks.KeyStore.loads(raw, password)
        entries = list(store.private_keys.values())
        certificates = [one.cert for one in store.certs.values()]
        certificates += [chain[1] for entry in entries for chain in entry.cert_chain]
        key = _pem("PRIVATE KEY", entries[0].pkey_pkcs8) if entries else None
    except jks.util.KeystoreException as error:
        raise KeyStoreError(f"{path}: the JKS store cannot be read: wrong password, or damaged") from error
    return _Store(b"".join(_pem("CERTIFICATE", der) for der in certificates), key)


def _pem(label: str, der: bytes) -> bytes:
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode()
