"""An Apache Kafka with a listener for each way in, right ones and ones that are wrong in one thing.

One broker has them all at once. ``bootstrap`` stays the PLAINTEXT one, for the tests' own clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers.certificates import Authority, Identity
from tests.servers.kafka import ApacheKafka
from tests.servers.ports import LOOPBACK, free_port

USER = "anchor-user-4711"
PASSWORD = "a-kafka-password-0815"
ALL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_HOST = "localhost"


@dataclass(frozen=True, slots=True)
class Listener:
    """One port: what it speaks, whom it asks for what, and the certificate it shows."""

    protocol: str
    certificate: str = "right"
    mechanisms: tuple[str, ...] = ALL_MECHANISMS
    wants_certificate: bool = False
    advertised_host: str = _HOST


LISTENERS: Mapping[str, Listener] = {
    "ssl": Listener("SSL"),
    "mtls": Listener("SSL", wants_certificate=True),
    "sasl_plaintext": Listener("SASL_PLAINTEXT"),
    "sasl_ssl": Listener("SASL_SSL"),
    "sasl_mtls": Listener("SASL_SSL", wants_certificate=True),
    "scram_512_only": Listener("SASL_SSL", mechanisms=("SCRAM-SHA-512",)),
    "expired": Listener("SSL", certificate="expired"),
    "other_name": Listener("SSL", certificate="other_name"),
    "other_authority": Listener("SSL", certificate="other_authority"),
    "self_signed": Listener("SSL", certificate="self_signed"),
    # Let in by one name, and told to come back by another, which the certificate does not have.
    "advertised_by_address": Listener("SSL", certificate="localhost_only", advertised_host=LOOPBACK),
}


class SecureKafka(ApacheKafka):
    """One node with ``LISTENERS``; SASL knows ``USER`` with ``PASSWORD``.

    Args:
        directory: for authorities and certificates.
    """

    def __init__(self, directory: Path) -> None:
        self.authority = _authority(directory / "authority")
        self.other_authority = _authority(directory / "other-authority")
        scram = [f"{name}=[name={USER},password={PASSWORD}]" for name in ALL_MECHANISMS[1:]]
        super().__init__(scram_credentials=scram)
        self._ports = {name: free_port() for name in LISTENERS}
        certificates = {
            name: identity.write_pem(directory / f"{name}.pem")
            for name, identity in self._identities().items()
        }
        self._listen()
        for name, listener in LISTENERS.items():
            self.properties |= _properties(name, listener, certificates, self.authority)

    def server(self, listener: str) -> str:
        """``host:port`` of a listener."""
        return f"{_HOST}:{self._ports[listener]}"

    def _identities(self) -> dict[str, Identity]:
        names = [_HOST, LOOPBACK]
        return {
            "right": self.authority.identity(names),
            "expired": self.authority.identity(names, days=-3),
            "other_name": self.authority.identity(["kafka.example.com"]),
            "other_authority": self.other_authority.identity(names),
            "self_signed": self.authority.identity(names, self_signed=True),
            "localhost_only": self.authority.identity([_HOST]),
        }

    def _listen(self) -> None:
        binds = [f"{name.upper()}://{LOOPBACK}:{port}" for name, port in self._ports.items()]
        advertised = [
            f"{name.upper()}://{LISTENERS[name].advertised_host}:{port}" for name, port in self._ports.items()
        ]
        protocols = [f"{name.upper()}:{listener.protocol}" for name, listener in LISTENERS.items()]
        for key, more in (
            ("listeners", binds),
            ("advertised.listeners", advertised),
            ("listener.security.protocol.map", protocols),
        ):
            self.properties[key] = ",".join([self.properties[key], *more])


def _authority(directory: Path) -> Authority:
    directory.mkdir(parents=True)
    return Authority.make(directory)


def _properties(
    name: str, listener: Listener, certificates: Mapping[str, Path], authority: Authority
) -> dict[str, str]:
    prefix = f"listener.name.{name}."
    found: dict[str, str] = {}
    if listener.protocol.endswith("SSL"):
        found |= {
            f"{prefix}ssl.keystore.type": "PEM",
            f"{prefix}ssl.keystore.location": str(certificates[listener.certificate]),
            f"{prefix}ssl.truststore.type": "PEM",
            f"{prefix}ssl.truststore.location": str(authority.path),
            f"{prefix}ssl.client.auth": "required" if listener.wants_certificate else "none",
        }
    if listener.protocol.startswith("SASL"):
        security = "org.apache.kafka.common.security"
        found[f"{prefix}sasl.enabled.mechanisms"] = ",".join(listener.mechanisms)
        for mechanism in listener.mechanisms:
            found[f"{prefix}{mechanism.lower()}.sasl.jaas.config"] = (
                f'{security}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
                if mechanism == "PLAIN"
                else f"{security}.scram.ScramLoginModule required;"
            )
    return found
