"""A server's certificate in words: how long it lasts, and why it is not believed. Pure."""

from __future__ import annotations

import ssl
from datetime import datetime, timezone
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from eventproc.doctor.findings import Check, ok, problem, warning

SOON_DAYS: Final = 21
"""Automatic renewal happens a month ahead; a certificate this near its end was forgotten."""

# OpenSSL's X509_V_ERR_…
_EXPIRED: Final = 10
_NOT_YET: Final = 9
_WRONG_HOST: Final = frozenset({62, 64})
_NO_CHAIN: Final = frozenset({2, 18, 19, 20, 21})


def judge_certificate(subject: str, der: bytes | None, version: str) -> Check:
    """A certificate that was believed: how many days it has left."""
    parsed = _parse(der)
    if parsed is None:
        return ok(subject, "TLS", version)
    days = _days_left(parsed)
    what = f"{version}, the certificate is good for {days} days"
    if days < SOON_DAYS:
        return warning(subject, "TLS", what, "have the receiver renew it: its renewal seems not to work")
    return ok(subject, "TLS", what)


def describe_certificate(
    subject: str, error: ssl.SSLCertVerificationError, der: bytes | None, host: str
) -> Check:
    """A certificate that was not believed: why, from OpenSSL's verdict and what the server shows."""
    parsed, code = _parse(der), error.verify_code
    if code == _EXPIRED:
        ended = "" if parsed is None else f", {-_days_left(parsed)} days ago"
        return problem(subject, "TLS", f"the certificate has expired{ended}", "have the receiver renew it")
    if code == _NOT_YET:
        return problem(subject, "TLS", "the certificate is not valid yet", "compare the clocks of both sides")
    if code in _WRONG_HOST:
        names = "" if parsed is None else f", but of {', '.join(_names(parsed)[:5]) or 'nobody'}"
        way_out = "use a name of the certificate in the URL, or have the receiver get one for this name"
        return problem(subject, "TLS", f"the certificate is not of {host}{names}", way_out)
    if code in _NO_CHAIN:
        issuer = "" if parsed is None else f" (issued by {parsed.issuer.rfc4514_string()})"
        what = f"nobody that we believe vouches for the certificate{issuer}: {error.verify_message}"
        way_out = "have the receiver send its whole chain; a private authority goes into ca_certificate_path"
        return problem(subject, "TLS", what[:300], way_out)
    return problem(
        subject, "TLS", f"{error.verify_message}"[:300], "have the receiver look at its certificate"
    )


def _parse(der: bytes | None) -> x509.Certificate | None:
    try:
        return None if der is None else x509.load_der_x509_certificate(der)
    except ValueError:
        return None


def _days_left(certificate: x509.Certificate) -> int:
    return (certificate.not_valid_after_utc - datetime.now(timezone.utc)).days


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except (x509.ExtensionNotFound, ValueError):
        return []
    value = extension.value
    if not isinstance(value, x509.SubjectAlternativeName):
        return []
    return [str(name.value) for name in value]
