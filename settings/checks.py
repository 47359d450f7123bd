"""Is this text a URL, a host, a broker list, a header, a Stellar key? Returned cleaned, or refused.

A refusal is a ``PydanticCustomError`` whose context has ``right``: pydantic reports it beside all others.
"""

from __future__ import annotations

import base64
import binascii
import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from pydantic_core import PydanticCustomError

from settings.problems import shown
from settings.urls import HttpUrl, UrlError, normal_host, parse_http_url

PUBLIC_KEY_VERSION = 6 << 3
CONTRACT_VERSION = 2 << 3
MUXED_VERSION = 12 << 3
SECRET_SEED_VERSION = 18 << 3

_STRKEY_CHARACTERS = 56
_MUXED_CHARACTERS = 69
_SCHEME = re.compile(r"^[A-Za-z_]+://")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HOST = re.compile(r"[^\s/@?#:\\,\[\]]+|\[[0-9A-Fa-f:.%]+\]")
_TOPIC = re.compile(r"[A-Za-z0-9._-]+")


def refusal(wrong: str, right: str) -> PydanticCustomError:
    """The error that a check raises: what is wrong, and what would be right."""
    return PydanticCustomError("refused", "{wrong}", {"wrong": wrong, "right": right})


def check_text(text: str) -> str:
    """A line of visible text."""
    if not text.strip():
        raise refusal("is empty", "some text")
    if not text.isprintable():
        raise refusal("contains control characters", "one line of plain text")
    return text.strip()


def check_url(text: str) -> str:
    """Return an http(s) URL in the one form that is dialled and signed, see ``settings.urls``."""
    right = "a URL like https://wallet.example/callbacks"
    url = _parse_url(text, right)
    if url.user is not None:
        raise refusal("has a user name or password in it", f"{right}, without user and password")
    return str(url)


def check_proxy_url(text: str) -> str:
    """Return a proxy's URL, which may name a user; the password stands in a variable of its own."""
    right = "a URL like http://proxy.example:3128 or http://user@proxy.example:3128"
    url = _parse_url(text, right)
    if ":" in (url.user or ""):
        raise refusal("has a password in it", f"{right}, and SECRET_DELIVERY_PROXY_PASSWORD")
    return str(url)


def _parse_url(text: str, right: str) -> HttpUrl:
    try:
        return parse_http_url(text)
    except UrlError as error:
        raise refusal(f"{shown(text)} {error}", right) from None


def is_domain(text: str) -> bool:
    """Whether this is a host, perhaps with a port, as ``client_domain`` of an event has it."""
    host, port = _split_host_port(text)
    return bool(_HOST.fullmatch(host)) and (port is None or _is_port(port))


def check_brokers(text: str) -> str:
    """``host:port,host:port``; a ``PLAINTEXT://`` before a host, as Java's clients allow, is dropped."""
    entries = [_SCHEME.sub("", entry.strip()) for entry in text.split(",") if entry.strip()]
    if not entries:
        raise refusal("is empty", "host:port, or several with commas between")
    for entry in entries:
        host, port = _split_host_port(entry)
        if not _HOST.fullmatch(host) or port is None or not _is_port(port):
            raise refusal(f"{shown(entry)} is not host:port", "host:port, or several with commas between")
    return ",".join(entries)


def check_name_server(text: str) -> str:
    """``10.0.0.2``, ``10.0.0.2:53``, ``::1`` or ``[::1]:53``; port 53 if none is named."""
    text = text.strip()
    is_bare_ipv6 = text.count(":") > 1 and not text.startswith("[")
    host, port = (text, None) if is_bare_ipv6 else _split_host_port(text)
    host, port = (
        (text.strip(), None) if text.count(":") > 1 and "]" not in text else _split_host_port(text.strip())
    )
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        raise refusal(
            f"{shown(text)} is no address of a name server", "10.0.0.2, 10.0.0.2:53 or [::1]:53"
        ) from None
    if port is not None and not _is_port(port):
        raise refusal(f"{shown(text)} has a port that is no port (1 to 65535)", "10.0.0.2:53")
    return text


def check_web_host(text: str) -> str:
    """``pages.example.com``, ``*.example.com``, ``10.0.0.2`` or ``[fd00::2]`` in its one form, or ``*``."""
    right = "a host without scheme and port, like pages.example.com, *.example.com or 10.0.0.2"
    text = text.strip()
    is_bare_ipv6 = text.count(":") > 1 and not text.startswith("[")
    below = "*." if text.startswith("*.") else ""
    try:
        return (
            text if text == "*" else below + normal_host(f"[{text}]" if is_bare_ipv6 else text[len(below) :])
        )
    except UrlError:
        raise refusal(f"{shown(text)} is no host", right) from None


def check_network(given: object) -> IPv4Network | IPv6Network:
    """A network in CIDR notation; an address alone is a network of one."""
    text = str(given).strip()
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        right = str(ip_network(text, strict=False))
    except ValueError:
        raise refusal(f"{shown(text)} is not a network", "a network like 10.1.0.0/16") from None
    raise refusal(f"{shown(text)} is an address within a network", right)


def check_header_name(text: str) -> str:
    """An HTTP header's name (RFC 9110 token)."""
    if not _HEADER_NAME.fullmatch(text):
        raise refusal(f"{shown(text)} is not a header name", "a name like X-Api-Key")
    return text


def check_header_value(text: str) -> str:
    """Text that may stand in an HTTP header; the refusal does not show it, for it may be a secret."""
    if not text.isascii() or not text.isprintable():
        raise refusal(
            "has characters that an HTTP header cannot carry", "printable ASCII without line breaks"
        )
    return text


def check_topic(text: str) -> str:
    """A Kafka topic's name, or the beginning of one."""
    if not _TOPIC.fullmatch(text) or len(text) > 200:  # Kafka's limit is 249, and a prefix is lengthened
        raise refusal(f"{shown(text)} cannot be (part of) a topic name", "up to 200 of A-Z a-z 0-9 . _ -")
    return text


def check_signing_key(text: str) -> str:
    """Text that is no seed; a refusal does not show it. What is an account is for ``is_account`` to say."""
    text = check_text(text)
    if text[:1] in {"S", "s"}:
        raise refusal("starts with S: a secret seed must never stand here", "the public key, G…")
    return text


def is_account(text: str) -> bool:
    """Whether this is an account as events name one: ``G…``, a contract's ``C…``, or a muxed ``M…``."""
    return any(is_strkey(text, version) for version in (PUBLIC_KEY_VERSION, CONTRACT_VERSION, MUXED_VERSION))


def is_strkey(text: str, version: int) -> bool:
    """Whether the text is a strkey of this kind: base32 of version byte, key, CRC-16/XMODEM (SEP-23)."""
    if len(text) != (_MUXED_CHARACTERS if version == MUXED_VERSION else _STRKEY_CHARACTERS):
        return False
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        return False
    return raw[0] == version and binascii.crc_hqx(raw[:-2], 0) == int.from_bytes(raw[-2:], "little")


def _split_host_port(text: str) -> tuple[str, str | None]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text, None
    return host, port


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text) <= 65535
