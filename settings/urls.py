"""One form of an http(s) URL: what is dialled, written into the request and signed.

The rules are those of the WHATWG URL standard, which browsers and, for the most part, OkHttp (the Anchor
Platform's client) follow, with two exceptions:

- Characters that RFC 3986 does not allow in a path or a query are percent-encoded, also those that a browser
  sends as they are (``|``, ``[``, a ``%`` without two digits): strict servers answer 400 to them.
- What a browser mends silently and an operator hardly means (control characters, a missing ``//``, a
  backslash in or before the host) is refused.

A URL that is in this form already is returned unchanged.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import idna

_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)"
    r"(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>#.*)?",
    re.DOTALL,
)
_AUTHORITY: Final = re.compile(r"(?:(?P<user>.*)@)?(?P<host>\[[^\]@]*\]|[^:\[\]@]*)(?::(?P<port>[^:@]*))?")
_LONE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_USER_SAFE: Final = "%:!$&'()*+,;=-._~"
_PATH_SAFE: Final = "/%:@!$&'()*+,;=-._~"
_QUERY_SAFE: Final = _PATH_SAFE + "?"
_LABEL: Final = re.compile(r"[a-z0-9_-]{1,63}")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NUMBERS: Final = (
    (re.compile(r"0|[1-9][0-9]*"), 10),
    (re.compile(r"0[0-7]+"), 8),
    (re.compile(r"0x[0-9a-f]*"), 16),
)
_HOST_CHARACTERS: Final = 253
_JOINERS: Final = frozenset("\u200c\u200d")


class UrlError(ValueError):
    """The text is no URL that can be dialled; ``str`` says why, without the text itself."""


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """The parts of a URL in its one form.

    Attributes:
        scheme: ``http`` or ``https``.
        user: the user name, percent-encoded, or None.
        host: a name in ASCII or an address, in lower case, an IPv6 address in brackets.
        port: the port that the URL names, or None.
        path: path and query, percent-encoded; empty where the URL names neither.
    """

    scheme: str
    user: str | None
    host: str
    port: int | None
    path: str

    @property
    def target(self) -> str:
        """Path and query as the request's first line has them."""
        return self.path if self.path.startswith("/") else f"/{self.path}"

    @property
    def authority(self) -> str:
        """Host and, where the URL names one, port: the ``Host`` header, and the host that is signed."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        user = "" if self.user is None else f"{self.user}@"
        return f"{self.scheme}://{user}{self.authority}{self.path}"


def parse_http_url(text: str) -> HttpUrl:
    """Return the parts of ``text`` in the one form; a fragment is dropped.

    Raises:
        UrlError: it is no http or https URL, or has a host or port that does not exist.
    """
    text = text.strip()
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise UrlError("contains control characters")
    found = _URL.fullmatch(text)
    if found is None or found["scheme"].lower() not in {"http", "https"}:
        raise UrlError("does not start with http:// or https://")
    authority = _AUTHORITY.fullmatch(found["authority"])
    if authority is None or "\\" in found["authority"]:
        raise UrlError("has a host that is no host")
    return HttpUrl(
        found["scheme"].lower(),
        None if authority["user"] is None else _encoded(authority["user"], _USER_SAFE),
        normal_host(authority["host"]),
        _port(authority["port"]),
        _encoded(_without_dot_segments(found["path"].replace("\\", "/")), _PATH_SAFE)
        + _encoded(found["query"] or "", _QUERY_SAFE),
    )


def normal_host(text: str) -> str:
    """Return a name in ASCII (IDNA as in UTS 46), an IPv4 address, or an IPv6 address in brackets.

    Raises:
        UrlError: it is none of these.
    """
    if not text:
        raise UrlError("has no host")
    if text.startswith("["):
        try:
            return f"[{_ipv6(text[1:-1])}]"
        except ValueError:
            raise UrlError("has a host that is no IPv6 address") from None
    name = _ascii_name(text)
    last = name.removesuffix(".").rpartition(".")[2]
    if _NUMERIC.fullmatch(last):
        return _ipv4(name.removesuffix("."))
    return name


def _ipv6(text: str) -> str:
    if "%" in text:
        raise ValueError(text)  # a zone belongs to link-local addresses, which are never dialled
    address = IPv6Address(text)
    if address.ipv4_mapped is None:
        return address.compressed
    high, low = divmod(int(address.ipv4_mapped), 1 << 16)
    return f"::ffff:{high:x}:{low:x}"  # Python 3.13 began to write the last part as IPv4


def _ipv4(name: str) -> str:
    """``127.0.0.1`` for ``127.1``, ``0x7f.1`` and ``2130706433`` too, as the C library reads them."""
    *first, last = [_ipv4_number(part) for part in name.split(".")]
    if len(first) > 3 or any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
        raise UrlError("has a host that is no IPv4 address")
    return str(IPv4Address(last + sum(number << 24 - 8 * index for index, number in enumerate(first))))


def _ipv4_number(text: str) -> int:
    for form, base in _NUMBERS:
        if form.fullmatch(text):
            return int(text.removeprefix("0x") or "0", base)
    raise UrlError("has a host that is no IPv4 address")


def _ascii_name(text: str) -> str:
    try:
        mapped = idna.uts46_remap(unquote_to_bytes(text).decode(), std3_rules=False, transitional=False)
        labels = [_ascii_label(label) for label in mapped.removesuffix(".").split(".")]
    except (idna.IDNAError, UnicodeError, IndexError):
        raise UrlError("has a host that is no host (IDNA)") from None
    name = ".".join(labels) + ("." if mapped.endswith(".") else "")
    if len(name) > _HOST_CHARACTERS or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlError("has a host that is no host")
    return name


def _ascii_label(label: str) -> str:
    if label.startswith("xn--"):
        decoded = label[4:].encode("ascii").decode("punycode")
        if decoded.isascii() or _a_label(decoded) != label:
            raise idna.IDNAError(label)
        if idna.uts46_remap(decoded, std3_rules=False, transitional=False) != decoded:
            raise idna.IDNAError(label)
        return label
    return label if label.isascii() else _a_label(label)


def _a_label(label: str) -> str:
    """``xn--…`` for a label of letters beyond ASCII, which must be valid by UTS 46."""
    idna.check_nfc(label)
    idna.check_initial_combiner(label)
    idna.check_bidi(label)
    for position, character in enumerate(label):
        if character in _JOINERS and not idna.valid_contextj(label, position):
            raise idna.IDNAError(label)
    return "xn--" + label.encode("punycode").decode("ascii")


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[-6:]) <= 65535 or text[:-6].strip("0"):
        raise UrlError("has a port that is no port (1 to 65535)")
    return int(text)


def _without_dot_segments(path: str) -> str:
    """Resolve ``.`` and ``..``, also percent-encoded ones, as every client does before it sends."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for index, segment in enumerate(segments):
        plain = segment.replace("%2e", ".").replace("%2E", ".")
        if plain == "..":
            del kept[-1:]
        if plain not in {".", ".."}:
            kept.append(segment)
        elif index == len(segments) - 1:
            kept.append("")
    return "".join(f"/{segment}" for segment in kept)


def _encoded(text: str, safe: str) -> str:
    try:
        return quote(_LONE_PERCENT.sub("%25", text), safe=safe)
    except UnicodeEncodeError:
        raise UrlError("contains half a character (a lone surrogate)") from None
