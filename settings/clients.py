"""``clients``: the wallets, custodial and noncustodial; older spellings fold into the present ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from settings.checks import check_signing_key
from settings.fields import Section, Text, TextList, Url, split_list
from settings.relaxed import Choice

SepName = Literal["sep6", "sep24", "sep31", "sep12"]
SEP_NAMES: tuple[SepName, ...] = ("sep6", "sep24", "sep31", "sep12")

OLDER_LISTS = {"signing_key": "signing_keys", "domain": "domains"}
"""Older spellings: one of what is a list now. ``callback_url`` is one URL for every SEP."""
OLDER_SEP_URLS = tuple(f"callback_url_{sep}" for sep in SEP_NAMES)
"""Older spellings: one URL for one SEP (Anchor Platform 2)."""


class ClientsSource(Section):
    """``clients.type``, ``clients.value``, ``clients.items``: where the list of clients is written."""

    type: Annotated[Literal["file", "yaml", "json", "items", "inline"], Choice()]
    value: str | None
    items: list[Any] | None


class CallbackUrls(Section):
    """One URL per SEP; None means that the client does not want that SEP's events."""

    sep6: Url | None = None
    sep24: Url | None = None
    sep31: Url | None = None
    sep12: Url | None = None

    def items(self) -> Iterator[tuple[SepName, str]]:
        """The SEPs that have a URL, with it."""
        for sep in SEP_NAMES:
            url: str | None = getattr(self, sep)
            if url is not None:
                yield sep, url

    def __bool__(self) -> bool:
        """Whether the client wants any events."""
        return any(self.items())


SigningKeys = Annotated[
    tuple[Annotated[str, AfterValidator(check_signing_key)], ...], BeforeValidator(split_list)
]


class Client(Section):
    """One wallet: known by its signing keys (custodial) or by its domains (noncustodial)."""

    name: Text
    type: Annotated[Literal["custodial", "noncustodial"], Choice()]
    signing_keys: SigningKeys = ()
    domains: TextList = ()
    callback_urls: CallbackUrls = CallbackUrls()
    allow_any_destination: bool = False
    destination_accounts: TextList = ()


OLDER_URLS = ("callback_url", *OLDER_SEP_URLS)
"""What Anchor Platform 3.0 and later ignore. They count only where a client has no ``callback_urls``."""

CLIENT_KEYS = (*Client.model_fields, *OLDER_LISTS, *OLDER_URLS)
"""Every spelling that a client may have."""


def fold_older_spellings(given: Mapping[Any, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The client in its present spelling, and which older key each moved part came from.

    A noncustodial client without a name is called by its first domain, as the Anchor Platform does.
    """
    client = {str(key): value for key, value in given.items() if value is not None}
    moved: dict[str, str] = {}
    for older, present in OLDER_LISTS.items():
        if older in client and present not in client:
            client[present] = [client.pop(older)]
            moved[f"{present}[0]"] = older
        client.pop(older, None)  # beside the list it says nothing new
    _fold_callback_urls(client, moved)
    domains = split_list(client.get("domains"))
    if "name" not in client and _is_noncustodial(client) and isinstance(domains, list) and domains:
        client["name"] = domains[0]
        moved["name"] = "domains"
    return client, moved


def _fold_callback_urls(client: dict[str, Any], moved: dict[str, str]) -> None:
    written = client.get("callback_urls")
    given = {older: url for older in OLDER_URLS if (url := client.pop(older, None))}
    if written and not isinstance(written, Mapping):
        return
    urls = {sep: url for sep, url in (written or {}).items() if url}
    for sep in SEP_NAMES if not written else ():
        for older in (f"callback_url_{sep}", "callback_url"):
            if older in given and sep not in urls:
                urls[sep] = given[older]
                moved[f"callback_urls.{sep}"] = older
    client["callback_urls"] = urls


def _is_noncustodial(client: Mapping[str, Any]) -> bool:
    return str(client.get("type", "")).strip().lower() == "noncustodial"
