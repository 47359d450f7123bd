"""Names that match no key: the Anchor Platform's own pass in silence, mistyped ones get a warning."""

from __future__ import annotations

import re
from functools import cache

from settings.keys import all_keys, variable_of
from settings.problems import Report, nearest

OWN_PREFIXES = (
    "events.",
    "event_processor.",
    "callback_api.",
    "client_status_callback.",
    "clients.",
    "delivery.",
    "topics.",
    "consumer.",
    "web.",
    "logging.",
    "sep6.more_info_url.",
    "sep24.more_info_url.",
)
"""Where an unknown key is a mistake."""

OWN_VARIABLE_PREFIXES = (
    "EVENTS_",
    "EVENT_PROCESSOR_",
    "CALLBACK_API_",
    "CLIENT_STATUS_CALLBACK_",
    "CLIENTS_",
    "DELIVERY_",
    "TOPICS_",
    "SEP6_MORE_INFO_URL_",
    "SEP24_MORE_INFO_URL_",
)
"""The same among variables, without the words (CONSUMER_, WEB_, LOGGING_) that others use as well."""

ANCHOR_PLATFORM_PREFIXES = (
    "event_processor.context_path",
    "events.queue.sqs",
    "events.publisher.sqs",
    "events.publisher.msk",
)
"""The Anchor Platform's keys inside these sections."""

ANCHOR_PLATFORM_SECTIONS = frozenset(
    {
        "app_logging",
        "assets",
        "custody",
        "custody_server",
        "data",
        "languages",
        "metrics",
        "payment_observer",
        "platform_api",
        "platform_server",
        "rpc",
        "secret",
        "sentry",
        "sep1",
        "sep12",
        "sep31",
        "sep38",
        "sep45",
        "sep_server",
        "stellar_network",
        "version",
    }
)
"""The Anchor Platform's sections that are not ours at all."""

_SOURCE_TOPICS = "events.event_type_to_queue."

_ANCHOR_PLATFORM_SECRETS = re.compile(
    r"SECRET_(DATA|PLATFORM_API|CUSTODY|CUSTODY_SERVER|SEP45|SENTRY|STELLAR_NETWORK|RPC|METRICS)_.*"
    r"|SECRET_SEP10_JWT_SECRET|SECRET_(SEP6|SEP24)_INTERACTIVE_URL_JWT_SECRET"
)
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://[^/\s]+:\d+")
_SERVICE_LINK_NAME = re.compile(r".*_SERVICE_(HOST|PORT(_.*)?)|.*_PORT(_\d+_(TCP|UDP|SCTP)(_.*)?)?")


def is_service_link(value: str) -> bool:
    """Whether this is what Kubernetes sets for a service: ``WEB_PORT=tcp://10.0.0.1:80``."""
    return _SERVICE_LINK.fullmatch(value.strip()) is not None


def is_secret_name(name: str) -> bool:
    """Whether a dotted key names one of our secrets, in any spelling."""
    return secret_variable(name) is not None


def secret_variable(name: str) -> str | None:
    """The variable of the secret that a dotted key names; None when it names none."""
    key = all_keys().get(name)
    if key is not None:
        return key.variable if key.is_secret else None
    form = variable_of(name).removesuffix("_FILE")
    return form if form in _secret_variables() else None


def is_secret_variable(name: str) -> bool:
    """Whether a variable of this name holds a secret, in any spelling."""
    form = variable_of(name)
    return form.startswith("SECRET_") or form in {
        variable_of(key.name) for key in all_keys().values() if key.is_secret
    }


def warn_of_key(written: str, name: str, origin: str, report: Report) -> None:
    """Warns when an unknown dotted key looks like a mistake; ``name`` is its snake case."""
    section = name.partition(".")[0]
    if name.startswith(_SOURCE_TOPICS):
        report.warn(
            written, origin, "is of Anchor Platform 2.0; one topic is read", "its name in topics.source"
        )
    elif name.startswith(OWN_PREFIXES):
        if not name.startswith(ANCHOR_PLATFORM_PREFIXES):
            _warn(written, origin, nearest(name, all_keys()), report)
    elif section not in ANCHOR_PLATFORM_SECTIONS and section not in _own_sections():
        guess = nearest(section, _own_sections(), cutoff=0.8)
        if guess is not None:
            _warn(written, origin, guess, report)


def warn_of_variable(form: str, origin: str, report: Report) -> None:
    """Warns when an unknown variable looks like a mistake."""
    if form.startswith("SECRET_"):
        guess = nearest(form, _secret_variables(), cutoff=0.85)
        if guess is not None and not _ANCHOR_PLATFORM_SECRETS.fullmatch(form) and not _is_secret_file(form):
            _warn(form, origin, guess, report)
        return
    if not form.startswith(OWN_VARIABLE_PREFIXES) or _SERVICE_LINK_NAME.fullmatch(form):
        return
    if form.startswith(tuple(variable_of(prefix) for prefix in ANCHOR_PLATFORM_PREFIXES)):
        return
    secret = next(
        (key.variable for key in all_keys().values() if key.is_secret and form == variable_of(key.name)), None
    )
    known = [key.variable for key in all_keys().values() if not key.is_secret]
    _warn(form, origin, secret or nearest(form, known), report)


def _warn(name: str, origin: str, guess: str | None, report: Report) -> None:
    right = f"{guess}?" if guess else "see settings/defaults.yaml for the keys there are"
    report.warn_unknown(name, origin, right)


def _is_secret_file(form: str) -> bool:
    return form.removesuffix("_FILE") in _secret_variables()


@cache
def _secret_variables() -> tuple[str, ...]:
    return tuple(key.variable for key in all_keys().values() if key.is_secret)


@cache
def _own_sections() -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.partition(".")[0] for name in all_keys()))
