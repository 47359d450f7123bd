"""What the sections are made of: their base, the kinds of value, and the marks that the loader reads.

The models carry no defaults of their own: ``defaults.yaml`` is the default. Only secrets, which never
stand in a file of settings, are None when nothing gives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from settings import checks


class Section(BaseModel):
    """Base of every section: frozen, closed, silent about what it was given."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,  # the input of a failed validation may be a secret
        allow_inf_nan=False,
    )


@dataclass(frozen=True, slots=True)
class Secret:
    """Marks a field that only this variable sets, or ``<variable>_FILE`` with a path; never YAML."""

    variable: str


@dataclass(frozen=True, slots=True)
class Alias:
    """Marks another spelling of the last part of a field's key."""

    name: str


@dataclass(frozen=True, slots=True)
class NoEffect:
    """Marks a key of the Anchor Platform that is accepted and changes nothing here, and says why."""

    why: str


def split_list(value: Any) -> Any:
    """A list written as text with commas, as an environment variable has it."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _join_list(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(str(part) for part in value)
    return value


def _networks(value: Any) -> Any:
    given = split_list(value)
    return [checks.check_network(part) for part in given] if isinstance(given, list) else given


def _web_hosts(value: Any) -> Any:
    given = split_list(value)
    return [checks.check_web_host(str(part)) for part in given] if isinstance(given, list) else given


def _strip_file_scheme(value: Any) -> Any:
    return strip_file_scheme(value) if isinstance(value, str) else value


def strip_file_scheme(text: str) -> str:
    """The path in ``file:/path``, ``file:///path`` or plain ``/path``."""
    return text.strip().removeprefix("file:").removeprefix("//")


Text = Annotated[str, AfterValidator(checks.check_text)]
Url = Annotated[str, AfterValidator(checks.check_url)]
ProxyUrl = Annotated[str, AfterValidator(checks.check_proxy_url)]
BrokerList = Annotated[str, BeforeValidator(_join_list), AfterValidator(checks.check_brokers)]
HeaderName = Annotated[str, AfterValidator(checks.check_header_name)]
HeaderValue = Annotated[str, AfterValidator(checks.check_header_value)]
TopicName = Annotated[str, AfterValidator(checks.check_topic)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)]
NameServers = Annotated[
    tuple[Annotated[str, AfterValidator(checks.check_name_server)], ...], BeforeValidator(split_list)
]
WebHosts = Annotated[tuple[str, ...], BeforeValidator(_web_hosts)]
TextList = Annotated[tuple[Text, ...], BeforeValidator(split_list)]
FilePath = Annotated[Path, BeforeValidator(_strip_file_scheme)]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=1)]
CountOrNone = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
