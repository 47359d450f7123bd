"""What ``config check`` alone says to an operator who comes from Anchor Platform 2.12, 3.1 or 4.8."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventproc.cli.context import CliContext
from eventproc.cli.main import main
from tests.servers.anchor_env import TEST_SEED

SECRETS = {
    "SECRET_SEP10_SIGNING_SEED": TEST_SEED,
    "SECRET_SEP6_MORE_INFO_URL_JWT_SECRET": "m" * 32,
    "SECRET_SEP24_MORE_INFO_URL_JWT_SECRET": "m" * 32,
    "SECRET_CALLBACK_API_AUTH_SECRET": "c" * 32,
}

PLATFORM_2_12 = """
version: 1
events:
  enabled: true
  queue:
    type: kafka
    kafka:
      bootstrap_server: kafka:29092
callback_api:
  base_url: https://business.example/callback
  auth:
    type: jwt
data:
  type: postgres
clients:
  - name: lobstr
    type: noncustodial
    domain: lobstr.co
    callback_url: https://lobstr.co/callbacks
"""

PLATFORM_3_1 = """
events:
  enabled: true
  queue:
    kafka:
      bootstrap_server: ${KAFKA:kafka:29092}
event_processor:
  callback_api_request:
    enabled: true
callback_api:
  base_url: https://business.example/callback
clients:
  type: yaml
  value: |
    items:
      - name: lobstr
        type: noncustodial
        domains: [lobstr.co]
        callback_url: https://old.lobstr.co/callbacks
        callback_urls:
          sep24: https://lobstr.co/callbacks/sep24
"""

PLATFORM_4_8 = """
events:
  enabled: true
  queue:
    type: kafka
    kafka:
      bootstrapServer: kafka:29092
event-processor:
  callbackApiRequest:
    enabled: true
callback_api:
  base_url: https://business.example/v2
  event_path_mode: append
clients:
  type: inline
  items:
    - name: exchange
      type: custodial
      signing_keys: [CAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABSC4]
      callback_urls: {sep31: 'https://exchange.example/sep31'}
    - name: lobstr
      type: non-custodial
      domains: [lobstr.co]
      callback_urls: {sep24: 'https://lobstr.co/callbacks/sep24'}
---
sep24:
  more_info_url:
    base_url: https://anchor.example/more
"""


def check(folder: Path, yaml: str, *options: str) -> Result:
    path = folder / "anchor.yaml"
    path.write_text(yaml, encoding="utf-8")
    arguments = ["--config", str(path), "config", "check", *options]
    return CliRunner().invoke(main, arguments, obj=CliContext(environment=SECRETS), catch_exceptions=False)


@pytest.fixture(autouse=True)
def _apart_from_any_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_who_comes_from_2_12_learns_that_the_business_server_gets_nothing_and_why(tmp_path: Path) -> None:
    result = check(tmp_path, PLATFORM_2_12)

    callback_url, default = result.stderr.splitlines()
    assert result.exit_code == 0
    assert "clients.items[0].callback_url " in callback_url
    assert "is used" in callback_url
    assert "event_processor.callback_api_request.enabled" in default
    assert "https://business.example/callback gets nothing" in default
    assert "up to 2.12 it was true" in default


def test_who_comes_from_2_12_and_turns_it_on_learns_which_address_it_was(tmp_path: Path) -> None:
    yaml = f"{PLATFORM_2_12}\nevent_processor.callback_api_request.enabled: true\n"

    address = check(tmp_path, yaml).stderr.splitlines()[-1]

    assert "events go to https://business.example/event, as Anchor Platform 2 sends them" in address


def test_who_comes_from_3_1_learns_both_addresses_and_where_no_event_goes_any_more(tmp_path: Path) -> None:
    result = check(tmp_path, PLATFORM_3_1)

    callback_url, address = result.stderr.splitlines()
    assert result.exit_code == 0
    assert "callback_url " in callback_url
    assert "is ignored" in callback_url
    assert "callback_api.base_url" in address
    assert "https://business.example/event" in address
    assert "https://business.example/callback/event" in address
    assert "callback_api.event_path_mode" in address


def test_who_comes_from_4_8_and_has_decided_has_nothing_to_learn(tmp_path: Path) -> None:
    result = check(tmp_path, PLATFORM_4_8, "--strict")

    assert result.stderr == ""
    assert result.exit_code == 0
    assert result.stdout == "The configuration is right.\n"


@pytest.mark.parametrize("yaml", [PLATFORM_2_12, PLATFORM_3_1, f"{PLATFORM_4_8}\nevents.enable: true"])
def test_a_strict_check_fails_for_any_warning_and_prints_the_same(tmp_path: Path, yaml: str) -> None:
    lax, strict = check(tmp_path, yaml), check(tmp_path, yaml, "--strict")

    assert (lax.exit_code, strict.exit_code) == (0, 1)
    assert (lax.stdout, lax.stderr) == (strict.stdout, strict.stderr)


def test_unknown_keys_come_first_also_before_what_is_wrong(tmp_path: Path) -> None:
    yaml = f"{PLATFORM_3_1}\nevents.enable: true\n"
    with_mistake = f"{yaml}topics.partitions: none\n"

    right, wrong = check(tmp_path, yaml), check(tmp_path, with_mistake, "--strict")

    assert "events.enable (" in right.stderr.splitlines()[0]
    assert "right: events.enabled?" in right.stderr.splitlines()[0]
    assert wrong.exit_code == 2
    assert "events.enable (" in wrong.stderr.splitlines()[0]
    assert "topics.partitions" in wrong.stderr.splitlines()[-1]
