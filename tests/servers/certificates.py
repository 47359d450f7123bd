"""Certificates made on the spot: an authority, and what it signs, right or wrong in one way."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    """An authority; ``path`` is its certificate as PEM."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    directory: Path

    @property
    def path(self) -> Path:
        """To be given as the file of certificates to believe."""
        return self.directory / "ca.pem"

    @classmethod
    def make(cls, directory: Path) -> Authority:
        """A new one, its certificate written."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("test authority")
        certificate = (
            _builder(name, name, key, days=3650)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_key_usage(of_authority=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        authority = cls(key, certificate, directory)
        authority.path.write_bytes(certificate.public_bytes(Encoding.PEM))
        return authority

    def server(
        self, names: Sequence[str] = ("localhost", "127.0.0.1"), *, days: int = 90, self_signed: bool = False
    ) -> ssl.SSLContext:
        """A server's context. ``days`` below zero: expired so long ago."""
        identity = self.identity(names, days=days, self_signed=self_signed)
        path = self.directory / f"server-{identity.certificate.serial_number:x}.pem"
        identity.write_pem(path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def identity(self, names: Sequence[str], *, days: int = 90, self_signed: bool = False) -> Identity:
        """A key and its certificate, for a server of these names or a client of this one."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(names[0])
        issuer, signer = (subject, key) if self_signed else (self.certificate.subject, self.key)
        certificate = (
            _builder(subject, issuer, key, days=days)
            .add_extension(
                x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
            .add_extension(_key_usage(of_authority=False), critical=True)
            .sign(signer, hashes.SHA256())
        )
        return Identity(key, certificate, self.certificate)


@dataclass(frozen=True)
class Identity:
    """A key, its certificate, and the authority's."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    authority: x509.Certificate

    def write_pem(self, path: Path, password: str | None = None) -> Path:
        """Key and certificate in one file, the key locked where there is a password."""
        locked = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
        path.write_bytes(
            self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)
            + self.certificate.public_bytes(Encoding.PEM)
        )
        return path

    def write_pkcs12(self, path: Path, password: str) -> Path:
        """Key and chain as PKCS12."""
        locked = BestAvailableEncryption(password.encode())
        path.write_bytes(
            pkcs12.serialize_key_and_certificates(
                b"eventproc", self.key, self.certificate, [self.authority], locked
            )
        )
        return path


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, of_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=of_authority,
        crl_sign=of_authority,
        encipher_only=False,
        decipher_only=False,
    )
