"""Every configuration of ``tests/cases/configurations.json``, compared with what the Anchor Platform says to it.

Each is accepted where the platform accepts it and refused where the platform refuses it, except those listed
in ``DIFFERENT`` with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from settings import Settings, SettingsError, load_settings

OWN_COPY: Final = Path(__file__).parents[2] / "cases" / "configurations.json"
BESIDE: Final = Path(__file__).parents[4] / "shared" / "cases" / "configurations.json"
CASES: Final[list[dict[str, Any]]] = json.loads(OWN_COPY.read_text(encoding="utf-8"))
BY_NAME: Final = {case["name"]: case for case in CASES}

REFUSED_BY_PLATFORM: Final = {
    *(case["name"] for case in CASES if case["platform"].startswith("refused")),
    "client type upper case in file",
    "auth.type JWT_TOKEN (AP 1.2/2.0)",
}

DIFFERENT: Final = {
    "client type upper case in file": "accepted: an enum's value may have any case, wherever it is written",
    "jwt with a 20-byte secret": "accepted with a warning: the platform's guide has a secret of 25 bytes",
    "SASL_SSL verify, no stores": "accepted: the system's certificates are believed",
    "callback URL with userinfo": "refused: the platform does not send user and password either",
    "queue type sqs": "refused: no Anchor Platform implements it",
    "EVENTS_QUEUE_KAFKA_USERNAME/PASSWORD not secret (AP 3.0 schema)": "refused: secrets come from SECRET_*",
    "YAML events.queue.kafka.username (AP 3.0 schema)": "refused: secrets come from SECRET_*",
}

WRONG: Final = {
    "clients file c.txt": ["clients.value: c.txt .yaml, .yml, .json"],
    "callback URL with userinfo": ["clients.items[0].callback_urls.sep24: user name or password"],
    "CALLBACK_API_BASE_URL empty": ["callback_api.base_url: is empty"],
    "YAML base_url: (empty)": ["callback_api.base_url: is empty"],
    "queue type sqs": ["events.queue.type: 'sqs' kafka"],
    "auth.type JWT_TOKEN (AP 1.2/2.0)": ["callback_api.auth.type: 'JWT_TOKEN' did you mean jwt?"],
    "jwt expiration 4000": ["callback_api.auth.jwt.expiration_milliseconds: '4000' 5000"],
    "EVENTS_QUEUE_KAFKA_USERNAME/PASSWORD not secret (AP 3.0 schema)": [
        "SECRET_EVENTS_QUEUE_KAFKA_USERNAME: is missing",
        "SECRET_EVENTS_QUEUE_KAFKA_PASSWORD: is missing",
    ],
    "YAML events.queue.kafka.username (AP 3.0 schema)": [
        "events.queue.kafka.username: SECRET_EVENTS_QUEUE_KAFKA_USERNAME",
        "events.queue.kafka.password: SECRET_EVENTS_QUEUE_KAFKA_PASSWORD",
    ],
    "batch_size 0": ["events.queue.kafka.batch_size: '0' 1 or more"],
    "poll_timeout_seconds 0": ["events.queue.kafka.poll_timeout_seconds: '0' more than 0"],
}
"""The key, and parts of the one sentence about it."""

WARNINGS: Final = {
    "noncustodial domain with a URL scheme": ["clients.items[0].domains[0]"],
    "jwt with a 20-byte secret": ["SECRET_CALLBACK_API_AUTH_SECRET"],
    "YAML with secret in it": ["secret.sep10.signing_seed"],
    "YAML events.publisher (1.x/2.0 spelling)": [
        "events.publisher.type",
        "events.publisher.kafka.bootstrap_server",
    ],
    "env VERSION=abc": ["VERSION"],
    "sasl_ssl lower / sasl-ssl": ["events.queue.kafka.ssl_verify_cert"],
}

IN_FORCE: Final[dict[str, Callable[[Settings], tuple[object, object]]]] = {
    "queue type msk": lambda found: (found.events.queue.kafka.bootstrap_server, "b-1:9198"),
    "EVENTS_QUEUE_TYPE=KAFKA": lambda found: (found.events.queue.type, "kafka"),
    "auth.type JWT upper": lambda found: (found.callback_api.auth.type, "jwt"),
    "auth.type API_KEY": lambda found: (found.callback_api.auth.type, "api_key"),
    "auth.type api-key": lambda found: (found.callback_api.auth.type, "api_key"),
    "YAML two documents": lambda found: (found.callback_api.base_url, "https://biz.example"),
    "YAML events.publisher (1.x/2.0 spelling)": lambda found: (
        found.events.queue.kafka.bootstrap_server,
        "kafka:29092",
    ),
    "YAML bootstrap_server as list": lambda found: (
        found.events.queue.kafka.bootstrap_servers,
        ("a:9092", "b:9092"),
    ),
    "sasl_ssl lower / sasl-ssl": lambda found: (found.events.queue.kafka.security_protocol, "SASL_SSL"),
    "noncustodial domain with a URL scheme": lambda found: (found.clients[0].domains, ("https://w.example",)),
}
"""What an accepted one has to come to, beside its client."""


def load(case: dict[str, Any], folder: Path) -> Settings:
    for name, text in case["files"].items():
        (folder / name).write_text(text, encoding="utf-8")
    environment = {name: value.replace("$D", str(folder)) for name, value in case["environment"].items()}
    config_path = None
    if case["yaml"] is not None:
        config_path = folder / "anchor.yaml"
        config_path.write_text(case["yaml"], encoding="utf-8")
    return load_settings(config_path, environment)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_configuration_is_accepted_or_refused_as_the_platform_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = BY_NAME[name]
    monkeypatch.chdir(tmp_path)
    refused_by_us = (name in REFUSED_BY_PLATFORM) != (name in DIFFERENT)

    if refused_by_us:
        with pytest.raises(SettingsError) as caught:
            load(case, tmp_path)
        said = [str(problem) for problem in caught.value.problems]
        for expected, sentence in zip(WRONG[name], said, strict=True):
            key, _, parts = expected.partition(": ")
            assert sentence.startswith(key)
            assert parts in sentence or all(part in sentence for part in parts.split(" "))
        return
    found = load(case, tmp_path)
    assert [warning.key for warning in found.warnings] == WARNINGS.get(name, [])
    if name in IN_FORCE:
        is_, expected_value = IN_FORCE[name](found)
        assert is_ == expected_value
    if "w.example/cb" in json.dumps(case) or "wallet_server" in json.dumps(case):
        (client,) = found.clients
        assert (client.name, client.type) == ("ref", "noncustodial")
        assert client.callback_urls.sep24 is not None
        assert client.callback_urls.sep24 in json.dumps(case)


def test_every_case_that_is_named_here_exists() -> None:
    named = {*REFUSED_BY_PLATFORM, *DIFFERENT, *WRONG, *WARNINGS, *IN_FORCE}

    assert named - set(BY_NAME) == set()


@pytest.mark.skipif(not BESIDE.exists(), reason="the shared cases are not beside this clone")
def test_our_copy_is_that_of_the_shared_folder() -> None:
    assert json.loads(BESIDE.read_text(encoding="utf-8")) == CASES
