"""What a rule that spans keys finds, and what it may look at beside the values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr, TypeAdapter, ValidationError

from settings.fields import HeaderValue
from settings.sources import CLASSPATH, COPY_OF_IT

JWT_SECRET_BYTES = 32
"""RFC 7518, 3.2: an HS256 key is at least as long as the hash."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found: the key to change, and every key it looked at."""

    key: str
    wrong: str
    right: str
    looked_at: tuple[str, ...] = ()
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """What the values alone do not show."""

    given: frozenset[str]
    """The keys that a source sets."""
    emptied: Mapping[str, str]
    """The keys that a source names and none gives a value, with that source."""
    has_callback_urls: bool
    """Whether any client has a callback URL, clients with mistakes included."""


def short_secret(key: str, secret: SecretStr) -> Iterator[Finding]:
    """Warns of an HS256 key that is easy to guess."""
    length = len(secret.get_secret_value().encode())
    if length < JWT_SECRET_BYTES:
        right = f"{JWT_SECRET_BYTES} bytes or more"
        yield Finding(key, f"has {length} bytes: easy to guess", right, is_warning=True)


def missing_file(key: str, path: Path | None, looked_at: tuple[str, ...]) -> Iterator[Finding]:
    """Finds a file that is not there, or is inside the Anchor Platform's jar."""
    if path is None:
        return
    if str(path).startswith(CLASSPATH):
        yield Finding(
            key, f"{path} is inside the Anchor Platform's jar, which is not here", COPY_OF_IT, looked_at
        )
    elif not path.is_file():
        yield Finding(key, f"{path} is not there", "the path of a readable file", looked_at)


def fits_header(secret: SecretStr) -> bool:
    """Whether an HTTP header can carry it."""
    try:
        TypeAdapter(HeaderValue).validate_python(secret.get_secret_value())
    except ValidationError:
        return False
    return True
