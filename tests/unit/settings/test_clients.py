from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stellar_sdk import StrKey

from settings import Client, Settings
from settings.clients import CallbackUrls
from tests.unit.settings.loading import OTHER_SIGNING_KEY, SEED, SIGNING_KEY, Loading, keys

ENV = {"SECRET_SEP10_SIGNING_SEED": SEED}

CUSTODIAL = {
    "name": "exchange",
    "type": "custodial",
    "signing_keys": [SIGNING_KEY, OTHER_SIGNING_KEY],
    "callback_urls": {"sep6": "http://wallet-server:8092/callbacks/sep6", "sep31": "https://e.example/31"},
    "allow_any_destination": "true",
    "destination_accounts": [SIGNING_KEY],
}
NONCUSTODIAL = {
    "name": "lobstr",
    "type": "noncustodial",
    "domains": ["lobstr.co", "wallet-server:8092"],
    "callback_urls": {"sep24": "https://lobstr.co/24"},
}
BOTH = json.dumps({"items": [CUSTODIAL, NONCUSTODIAL]})
YAML_LIST = f"[{json.dumps(CUSTODIAL)}, {json.dumps(NONCUSTODIAL)}]"


def assert_has_both(found: Settings) -> None:
    exchange, lobstr = found.clients
    assert exchange == Client(
        name="exchange",
        type="custodial",
        signing_keys=(SIGNING_KEY, OTHER_SIGNING_KEY),
        callback_urls=CallbackUrls(
            sep6="http://wallet-server:8092/callbacks/sep6", sep31="https://e.example/31"
        ),
        allow_any_destination=True,
        destination_accounts=(SIGNING_KEY,),
    )
    assert list(exchange.callback_urls.items()) == [
        ("sep6", "http://wallet-server:8092/callbacks/sep6"),
        ("sep31", "https://e.example/31"),
    ]
    assert (lobstr.name, lobstr.domains) == ("lobstr", ("lobstr.co", "wallet-server:8092"))
    assert list(lobstr.callback_urls.items()) == [("sep24", "https://lobstr.co/24")]


@pytest.mark.parametrize(
    "yaml",
    [
        f"clients: {{items: {YAML_LIST}}}",
        f"clients: {YAML_LIST}",
        f"clients: {{type: items, items: {YAML_LIST}}}",
        f"clients: {{type: json, value: '{BOTH}'}}",
        f"clients: {{value: '{BOTH}'}}",
        f"clients: {{type: yaml, value: '{BOTH}'}}",
        f"clients: {{type: yaml, value: {YAML_LIST}}}",
    ],
)
def test_clients_may_be_written_in_the_yaml_file(loading: Loading, yaml: str) -> None:
    assert_has_both(loading.load(yaml, env=ENV))


@pytest.mark.parametrize(
    "wrap", ["{}", '{{"items": {}}}', '{{"clients": {}}}', '{{"clients": {{"items": {}}}}}']
)
@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_clients_may_be_text_in_a_variable(loading: Loading, wrap: str, kind: str) -> None:
    found = loading.load(env=ENV | {"CLIENTS_TYPE": kind, "CLIENTS_VALUE": wrap.format(YAML_LIST)})

    assert_has_both(found)
    assert found.origins["clients"] == "environment CLIENTS_VALUE"


@pytest.mark.parametrize("name", ["clients.yaml", "clients.yml", "clients.JSON"])
@pytest.mark.parametrize("scheme", ["", "file:"])
def test_clients_may_be_a_file_of_their_own(loading: Loading, tmp_path: Path, name: str, scheme: str) -> None:
    (tmp_path / name).write_text(BOTH, encoding="utf-8")

    found = loading.load(env=ENV | {"clients.type": "file", "clients.value": f"{scheme}{tmp_path / name}"})

    assert_has_both(found)
    assert found.origins["clients"] == f"file {tmp_path / name}"


def test_a_relative_client_file_is_found_beside_the_yaml_file(loading: Loading, tmp_path: Path) -> None:
    (tmp_path / "clients.yaml").write_text(BOTH, encoding="utf-8")

    assert_has_both(loading.load("clients: {type: file, value: clients.yaml}", env=ENV))


@pytest.mark.parametrize(
    "prefix", ["CLIENTS_ITEMS[{}]_", "CLIENTS_ITEMS_{}_", "CLIENTS[{}]_", "CLIENTS_{}_", "clients.items[{}]."]
)
def test_clients_may_be_indexed_variables(loading: Loading, prefix: str) -> None:
    fields = [
        {
            "NAME": "exchange",
            "TYPE": "custodial",
            "SIGNING_KEYS": f"{SIGNING_KEY},{OTHER_SIGNING_KEY}",
            "CALLBACK_URLS_SEP6": "http://wallet-server:8092/callbacks/sep6",
            "CALLBACK_URLS_SEP31": "https://e.example/31",
            "ALLOW_ANY_DESTINATION": "true",
            "DESTINATION_ACCOUNTS_0": SIGNING_KEY,
        },
        {
            "NAME": "lobstr",
            "TYPE": "noncustodial",
            "DOMAINS[0]": "lobstr.co",
            "DOMAINS[1]": "wallet-server:8092",
            "CALLBACK_URLS_SEP24": "https://lobstr.co/24",
        },
    ]
    env = {
        f"{prefix.format(i)}{name}": value for i, each in enumerate(fields) for name, value in each.items()
    }

    assert_has_both(loading.load(env=ENV | env))


def test_ten_indexed_clients_keep_the_order_of_their_numbers(loading: Loading) -> None:
    env: dict[str, str] = {}
    for index in range(11):
        env |= {
            f"CLIENTS_ITEMS_{index}_TYPE": "noncustodial",
            f"CLIENTS_ITEMS_{index}_DOMAIN": f"w{index}.example",
        }

    assert [client.name for client in loading.load(env=env).clients] == [f"w{i}.example" for i in range(11)]


def test_a_stronger_source_replaces_the_whole_list(loading: Loading) -> None:
    env = ENV | {"CLIENTS_ITEMS_0_TYPE": "noncustodial", "CLIENTS_ITEMS_0_DOMAIN": "other.example"}

    found = loading.load(f"clients: {{items: {YAML_LIST}}}", env=env)

    assert [client.name for client in found.clients] == ["other.example"]


def test_value_and_items_in_one_source_are_a_problem(loading: Loading) -> None:
    problem = loading.problem("clients: {value: '[]', items: [{name: a}]}")

    assert (problem.key, problem.right) == ("clients.value", "one of the two")


OLDER = [
    ({"signing_key": SIGNING_KEY, "type": "custodial"}, {"signing_keys": (SIGNING_KEY,)}),
    ({"domain": "w.example", "type": "noncustodial"}, {"domains": ("w.example",)}),
    (
        {"callback_url": "https://w.example/cb", "domain": "w.example", "type": "NonCustodial"},
        {
            "callback_urls": CallbackUrls(
                **dict.fromkeys(("sep6", "sep24", "sep31", "sep12"), "https://w.example/cb")
            )
        },
    ),
    (
        {
            "callback_url": "https://w.example/cb",
            "callback_url_sep31": "https://w.example/31",
            "domain": "w.example",
            "type": "noncustodial",
        },
        {
            "callback_urls": CallbackUrls(
                sep6="https://w.example/cb",
                sep24="https://w.example/cb",
                sep31="https://w.example/31",
                sep12="https://w.example/cb",
            )
        },
    ),
    (
        # Anchor Platform 3.0 and later ignore the older ones: nothing may go there again.
        {
            "callback_url": "https://old.example/cb",
            "callback_urls": {"sep24": "https://w.example/24", "sep12": ""},
            "callback_url_sep31": "https://old.example/31",
            "domain": "w.example",
            "type": "noncustodial",
        },
        {"callback_urls": CallbackUrls(sep24="https://w.example/24")},
    ),
    ({"callback_url": "", "domain": "w.example", "type": "noncustodial"}, {"callback_urls": CallbackUrls()}),
]


@pytest.mark.parametrize(("written", "expected"), OLDER)
def test_older_spellings_fold_into_the_present_ones(
    loading: Loading, written: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = loading.load(f"clients: [{json.dumps({'name': 'w'} | written)}]", env=ENV)

    (client,) = found.clients
    assert {name: getattr(client, name) for name in expected} == expected
    older = [
        f"clients.items[0].{name}"
        for name in written
        if name.startswith("callback_url_") or name == "callback_url"
    ]
    assert [key for key in keys(found.warnings) if key.startswith("clients.")] == [
        key for key in older if written[key.partition("].")[2]]
    ]
    ignored = "callback_urls" in written
    assert all(("is ignored" in each.wrong) == ignored for each in found.warnings if each.key in older)


def test_a_noncustodial_client_without_a_name_is_called_by_its_first_domain(loading: Loading) -> None:
    found = loading.load("clients: [{type: noncustodial, domains: [a.example, b.example]}]")

    assert found.clients[0].name == "a.example"


@pytest.mark.parametrize(
    "name", ["no", "012", "2026-11-24", "1e3", "Ünï côdé", "a/b c", "null-wallet", "null"]
)
def test_a_name_is_kept_as_written(loading: Loading, name: str) -> None:
    found = loading.load(f"clients: [{{name: '{name}', type: noncustodial, domain: w.example}}]")

    assert found.clients[0].name == name
    if name != "null":
        found = loading.load(f"clients: [{{name: {name}, type: noncustodial, domain: w.example}}]")
        assert found.clients[0].name == name


# the client, the problem's key under clients.items[0], part of what is wrong
WRONG_CLIENTS = [
    ({"name": "", "type": "noncustodial", "domain": "a.b"}, ".name", "is empty"),
    ({"name": " ", "type": "noncustodial", "domain": "a.b"}, ".name", "is empty"),
    ({"name": "a\tb", "type": "noncustodial", "domain": "a.b"}, ".name", "control characters"),
    ({"type": "custodial", "signing_key": SIGNING_KEY}, ".name", "is missing"),
    ({"name": "a", "domain": "a.b"}, ".type", "is missing"),
    ({"name": "a", "type": "custodail", "signing_key": SIGNING_KEY}, ".type", "did you mean custodial?"),
    ({"name": "a", "type": "custodial"}, ".signing_keys", "is missing"),
    ({"name": "a", "type": "custodial", "signing_keys": []}, ".signing_keys", "is missing"),
    ({"name": "a", "type": "custodial", "domains": ["a.b"]}, ".signing_keys", "is missing"),
    ({"name": "a", "type": "noncustodial"}, ".domains", "is missing"),
    ({"type": "noncustodial"}, ".domains", "is missing"),
    ({"name": "a", "type": "custodial", "signing_keys": [SIGNING_KEY, ""]}, ".signing_keys[1]", "is empty"),
    ({"name": "a", "type": "custodial", "signing_key": SEED}, ".signing_key", "secret seed must never"),
    (
        {"name": "a", "type": "noncustodial", "domain": "a.b", "callback_urls": "x"},
        ".callback_urls",
        "is not keys",
    ),
    (
        {"name": "a", "type": "noncustodial", "domain": "a.b", "callback_urls": {"sep24": "ftp://x"}},
        ".callback_urls.sep24",
        "'ftp://x' does not start with http",
    ),
    (
        {
            "name": "a",
            "type": "noncustodial",
            "domain": "a.b",
            "callback_urls": {"sep24": "http://u:hunter2@h"},
        },
        ".callback_urls.sep24",
        "has a user name or password",
    ),
    (
        {"name": "a", "type": "noncustodial", "domain": "a.b", "callback_url": "w.b/cb"},
        ".callback_url",
        "http",
    ),
    (
        {"name": "a", "type": "noncustodial", "domain": "a.b", "allow_any_destination": "x"},
        ".allow_any_destination",
        "is not true or false",
    ),
    ("wallet", "", "'wallet' is no client"),
]


ACCOUNTS = [
    SIGNING_KEY,
    StrKey.encode_contract(bytes(32)),
    StrKey.encode_med25519_public_key(bytes(40)),
]
STRANGE = [
    "https://a.b",
    "a.b/c",
    "a.b:0",
    SIGNING_KEY[:-1] + "A",
    "GABC",
    SIGNING_KEY + "A",
    ACCOUNTS[1][:-1] + "A",
]


@pytest.mark.parametrize("identity", [*ACCOUNTS, *STRANGE])
def test_any_text_may_be_an_identity_and_what_no_event_names_is_a_warning(
    loading: Loading, identity: str
) -> None:
    custodial = {"name": "a", "type": "custodial", "signing_keys": [SIGNING_KEY, identity]}
    noncustodial = {"name": "b", "type": "noncustodial", "domains": ["w.example", identity]}

    by_key = loading.load(f"clients: {json.dumps([custodial])}", env=ENV)
    by_domain = loading.load(f"clients: {json.dumps([noncustodial])}", env=ENV)

    assert by_key.clients[0].signing_keys[1] == by_domain.clients[0].domains[1] == identity
    is_host = "/" not in identity and not identity.endswith(":0")
    assert keys(by_key.warnings) == ([] if identity in ACCOUNTS else ["clients.items[0].signing_keys[1]"])
    assert keys(by_domain.warnings) == ([] if is_host else ["clients.items[0].domains[1]"])
    assert all(identity in warning.wrong for warning in (*by_key.warnings, *by_domain.warnings))


@pytest.mark.parametrize(("client", "key", "wrong"), WRONG_CLIENTS)
def test_a_wrong_client_gets_one_problem_that_names_it(
    loading: Loading, client: Any, key: str, wrong: str
) -> None:
    problem = loading.problem(f"clients: [{json.dumps(client)}]", env=ENV)

    assert problem.key == f"clients.items[0]{key}"
    assert problem.origin == f"file {loading.folder / 'anchor.yaml'}"
    assert wrong in problem.wrong
    assert SEED not in str(problem)
    assert "hunter2" not in str(problem)


def test_a_name_given_twice_is_a_problem_and_spaces_around_it_do_not_help(loading: Loading) -> None:
    problem = loading.problem(
        """
        clients:
          - {name: wallet, type: noncustodial, domain: a.example}
          - {name: Wallet, type: noncustodial, domain: b.example}
          - {name: ' wallet ', type: noncustodial, domain: c.example}
        """
    )

    assert problem.key == "clients.items[2].name"
    assert "clients.items[0]" in problem.wrong


def test_every_wrong_client_is_reported(loading: Loading) -> None:
    clients = json.dumps(
        [client for client, _, _ in WRONG_CLIENTS if isinstance(client, dict) and "type" in client]
    )

    found = {problem.key.split(".")[1] for problem in loading.problems(f"clients: {clients}", env=ENV)}

    assert len(found) == len(json.loads(clients))


@pytest.mark.parametrize(
    ("yaml", "wrong"),
    [
        ("clients: {type: json, value: '{bad'}", "line 1, column 2"),
        ("clients: {type: yaml, value: '[bad'}", "is not valid YAML"),
        ("clients: {type: yaml, value: 'just text'}", "is no list of clients"),
        ("clients: {type: json, value: '{\"item\": []}'}", "is no list of clients"),
        ("clients: {type: file}", "is missing"),
        ("clients: {type: file, value: nowhere.yaml}", "nowhere.yaml: No such file"),
        ("clients: {type: file, value: clients.txt}", "clients.txt is not a file of clients"),
        ("clients: {type: inline, value: '[]'}", "clients.type is inline"),
        ('clients: {type: yaml, value: "- {}\\n---\\n- {}"}', "has more than one document"),
        ("clients: {type: items, value: '[]'}", "clients.type is items"),
    ],
)
def test_a_list_that_cannot_be_read_is_one_problem(loading: Loading, yaml: str, wrong: str) -> None:
    problem = loading.problem(yaml)

    assert problem.key == "clients.value"
    assert wrong in problem.wrong


def test_broken_json_in_a_variable_is_not_quoted(loading: Loading) -> None:
    problem = loading.problem(env={"CLIENTS_VALUE": '[{"name": "hunter2"'})

    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    ("client", "key", "guess"),
    [
        ({"signing_kyes": []}, "signing_kyes", "signing_keys?"),
        ({"callback_urls": {"sep42": "https://w.example"}}, "callback_urls.sep42", "callback_urls.sep"),
        ({"callbackuri": "https://w.example"}, "callbackuri", "callback_url?"),
    ],
)
def test_a_mistyped_member_warns_with_the_nearest_name(
    loading: Loading, client: dict[str, Any], key: str, guess: str
) -> None:
    wallet = {"name": "w", "type": "noncustodial", "domain": "w.example"} | client

    found = loading.load(f"clients: [{json.dumps(wallet)}]")

    assert keys(found.warnings) == [f"clients.items[0].{key}"]
    assert found.warnings[0].right.startswith(guess)


def test_a_mistyped_indexed_variable_warns_with_the_nearest_name(loading: Loading) -> None:
    env = {"CLIENTS_0_TYPE": "noncustodial", "CLIENTS_0_DOMAIN": "w.example", "CLIENTS_0_CALLBAK_URL": "x"}

    assert keys(loading.load(env=env).warnings) == ["CLIENTS_0_CALLBAK_URL"]


def test_a_domain_or_key_of_two_clients_warns(loading: Loading) -> None:
    found = loading.load(
        f"""
        clients:
          - {{name: a, type: noncustodial, domains: [w.example]}}
          - {{name: b, type: noncustodial, domains: [x.example, W.example]}}
          - {{name: c, type: custodial, signing_keys: [{SIGNING_KEY}]}}
          - {{name: d, type: custodial, signing_keys: [{SIGNING_KEY}]}}
        """
    )

    assert keys(found.warnings) == ["clients.domains", "clients.signing_keys"]
    assert "'b' also belongs to 'a'" in found.warnings[0].wrong
    assert "'d' also belongs to 'c'" in found.warnings[1].wrong
