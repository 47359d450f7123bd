from __future__ import annotations

from pathlib import Path

import pytest

from settings import SettingsError, load_settings
from settings.text_yaml import load_text
from tests.unit.settings.loading import SEED, Loading, keys

GUIDE_YAML = """
    events:
      enabled: true
      queue:
        type: kafka
        kafka:
          bootstrap_server: localhost:9092
    event_processor:
      client_status_callback:
        enabled: true
      callback_api_request:
        enabled: true
    callback_api:
      base_url: http://localhost:8081/callback
      auth:
        type: jwt
        jwt:
          expiration_milliseconds: 30000
          http_header: Authorization
"""
GUIDE_ENV = """
    # dev.env
    EVENTS_ENABLED=true
    EVENTS_QUEUE_TYPE=kafka
    EVENTS_QUEUE_KAFKA_BOOTSTRAP_SERVER=localhost:9092
    EVENT_PROCESSOR_CLIENT_STATUS_CALLBACK_ENABLED=true
    EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED=true
    CALLBACK_API_BASE_URL=http://localhost:8081/callback
    CALLBACK_API_AUTH_TYPE=jwt
    CALLBACK_API_AUTH_JWT_EXPIRATION_MILLISECONDS=30000
    CALLBACK_API_AUTH_JWT_HTTP_HEADER=Authorization
    SECRET_CALLBACK_API_AUTH_SECRET="a secret for signing jwts"
"""
GUIDE_SECRET = 'SECRET_CALLBACK_API_AUTH_SECRET="a secret for signing jwts"'

# As an Anchor Platform's own container has it: dotted, with much that is not ours.
ANCHOR_PLATFORM_ENV = f"""
    secret.data.username=postgres
    secret.data.password=password
    secret.platform_api.auth_secret=myAnchorToPlatformSecret1234567890
    secret.callback_api.auth_secret=myPlatformToAnchorSecret1234567890
    secret.sep6.more_info_url.jwt_secret=secret_sep6_more_info_url_jwt_secret
    secret.sep10.jwt_secret=secret_sep10_secret_secret_sep10_secret
    secret.sep45.jwt_secret=secret_sep10_secret_secret_sep10_secret
    secret.sep10.signing_seed={SEED}
    secret.sep24.interactive_url.jwt_secret=secret_sep24_interactive_url_jwt_secret
    secret.sep24.more_info_url.jwt_secret=secret_sep24_more_info_url_jwt_secret
    secret.custody_server.auth_secret=myPlatformToCustodySecret1234567890
    app_logging.stellar_level=DEBUG
    languages=en,es-AR
    events.enabled=true
    events.queue.type=kafka
    events.queue.kafka.bootstrap_server=kafka:29092
    events.queue.msk.use_iam=false
    event_processor.callback_api_request.enabled=true
    event_processor.context_path=/
    callback_api.base_url=http://reference-server:8091/
    platform_api.base_url=http://platform:8085
    data.type=postgres
    assets.type=file
    assets.value=/config/assets.yaml
    sep6.enabled=true
    sep6.more_info_url.base_url=http://localhost:8091/sep6/transaction/more_info
    sep10.home_domains=localhost:8080,*.stellar.org
    sep24.enabled=true
    sep24.interactive_url.base_url=http://localhost:8091/sep24/interactive
    sep24.more_info_url.base_url=http://localhost:8091/sep24/transaction/more_info
"""

ANCHOR_PLATFORM_YAML = """
    version: 1
    languages: en
    app_logging: {level: ERROR, stellar_level: INFO}
    stellar_network: {network: TESTNET, rpc_auth: {type: none, header: {name: Authorization}}}
    callback_api: {base_url: "http://localhost:8081", check_certificate: false, auth: {type: none}}
    platform_api: {base_url: "http://localhost:8085", auth: {type: none}}
    event_processor:
      context_path: /
      port: 8188
      management_server_port: 9188
    sep6:
      enabled: false
      more_info_url: {base_url: "http://localhost:8080/sep6/more", jwt_expiration: 300, txn_fields: }
      features: {account_creation: false}
    sep10: {enabled: false, home_domains: "localhost:8080", jwt_timeout: 86400}
    sep24:
      interactive_url: {base_url: "http://localhost:8080/sep24/interactive"}
      more_info_url: {txn_fields: [status, kind]}
    sep38: {enabled: true}
    events:
      enabled: true
      queue:
        type: kafka
        kafka: {bootstrap_server: "kafka:29092", client_id: , retries: 1, linger_ms: 1000, batch_size: 10}
        sqs: {use_IAM: false, aws_region: us-east-1}
        msk: {use_IAM: false, bootstrap_server: , retries: 1}
    assets: {type: json, value: }
    clients: {type: json, value: }
    data: {type: h2, server: , ddl_auto: none}
    metrics: {enabled: false, prefix: }
    rpc: {batch_size_limit: 40}
"""


@pytest.mark.parametrize(
    ("yaml", "dotenv"), [(GUIDE_YAML, GUIDE_SECRET), (None, GUIDE_ENV)], ids=["yaml", "env"]
)
def test_the_guides_example_works(loading: Loading, yaml: str | None, dotenv: str) -> None:
    found = loading.load(yaml, dotenv=dotenv)

    assert found.events.enabled
    assert found.events.queue.kafka.bootstrap_servers == ("localhost:9092",)
    assert found.event_processor.callback_api_request.enabled
    assert found.callback_api.base_url == "http://localhost:8081/callback"
    assert found.callback_api.auth.type == "jwt"
    assert found.callback_api.auth.secret is not None
    assert found.callback_api.auth.secret.get_secret_value() == "a secret for signing jwts"
    # A path that counts only from 3.0 on, and 25 bytes: it warns and works.
    assert keys(found.warnings) == ["SECRET_CALLBACK_API_AUTH_SECRET", "callback_api.base_url"]
    assert "25 bytes" in found.warnings[0].wrong


@pytest.mark.parametrize("in_environment", [True, False], ids=["environment", "dotenv"])
def test_an_anchor_platforms_dotted_variables_work_without_a_warning(
    loading: Loading, in_environment: bool
) -> None:
    if in_environment:
        lines = [line.strip() for line in ANCHOR_PLATFORM_ENV.splitlines() if line.strip()]
        found = loading.load(env=dict(line.split("=", 1) for line in lines))
    else:
        found = loading.load(dotenv=ANCHOR_PLATFORM_ENV)

    assert found.warnings == ()
    assert found.events.queue.kafka.bootstrap_server == "kafka:29092"
    assert found.callback_api.base_url == "http://reference-server:8091/"
    assert found.sep6.more_info_url.base_url == "http://localhost:8091/sep6/transaction/more_info"
    assert found.sep10.signing_seed is not None
    assert found.sep10.signing_seed.get_secret_value() == SEED
    assert found.sep24.more_info_url.jwt_secret is not None


def test_an_anchor_platforms_whole_file_works_and_its_foreign_keys_are_passed_over(loading: Loading) -> None:
    found = loading.load(ANCHOR_PLATFORM_YAML)

    assert keys(found.warnings) == ["event_processor.callback_api_request.enabled"]  # nobody is served yet
    assert found.event_processor.port == 8188
    assert found.web_port == 8188
    assert found.callback_api.check_certificate is False
    assert found.sep6.more_info_url.jwt_expiration == 300
    assert found.sep6.more_info_url.txn_fields == ()
    assert found.sep24.more_info_url.txn_fields == ("status", "kind")
    assert found.events.queue.kafka.client_id is None


def test_environment_wins_over_dotenv_over_yaml_over_defaults(loading: Loading) -> None:
    yaml = "delivery: {max_in_flight: 2, max_waiting: 2000, retry: {poison_attempts: 2}}"
    dotenv = "delivery.max_in_flight=3\nDELIVERY_MAX_WAITING=3000"

    found = loading.load(yaml, env={"DELIVERY_MAX_IN_FLIGHT": "4"}, dotenv=dotenv)

    assert found.delivery.max_in_flight == 4
    assert found.delivery.max_waiting == 3000
    assert found.delivery.retry.poison_attempts == 2
    assert found.delivery.retry.max_seconds == 300
    assert found.origins["delivery.max_in_flight"] == "environment DELIVERY_MAX_IN_FLIGHT"
    assert found.origins["delivery.max_waiting"] == ".env DELIVERY_MAX_WAITING"
    assert found.origins["delivery.retry.poison_attempts"] == f"file {loading.folder / 'anchor.yaml'}"
    assert found.origins["delivery.retry.max_seconds"] == "default"


def test_an_error_names_the_source_that_the_wrong_value_came_from(loading: Loading) -> None:
    problem = loading.problem("web: {port: 80}", env={"WEB_PORT": "eighty"}, dotenv="WEB_PORT=81")

    assert problem.key == "web.port"
    assert problem.origin == "environment WEB_PORT"
    assert "'eighty'" in problem.wrong
    assert problem.right == "a whole number"


@pytest.mark.parametrize("variable", ["EVENTPROC_CONFIG", "STELLAR_ANCHOR_CONFIG"])
@pytest.mark.parametrize("scheme", ["", "file:", "file://"])
def test_a_variable_names_the_yaml_file(tmp_path: Path, variable: str, scheme: str) -> None:
    path = tmp_path / "anchor.yaml"
    path.write_text("topics: {partitions: 3}", encoding="utf-8")
    (tmp_path / ".env").touch()

    found = load_settings(env={variable: f"{scheme}{path}"}, dotenv_path=tmp_path / ".env")

    assert found.topics.partitions == 3


def test_our_own_variable_wins_over_the_anchor_platforms(tmp_path: Path) -> None:
    for name, partitions in (("ours", 3), ("theirs", 4)):
        (tmp_path / name).write_text(f"topics: {{partitions: {partitions}}}", encoding="utf-8")
    env = {"STELLAR_ANCHOR_CONFIG": f"file:{tmp_path / 'theirs'}", "EVENTPROC_CONFIG": str(tmp_path / "ours")}

    assert load_settings(env=env).topics.partitions == 3


def test_the_process_environment_and_the_current_folders_dotenv_are_read_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("TOPICS_PARTITIONS=3\nTOPICS_SOURCE=FROM_DOTENV", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOPICS_PARTITIONS", "4")

    found = load_settings()

    assert found.topics.partitions == 4
    assert found.topics.source == "FROM_DOTENV"


def test_dots_inside_a_yaml_key_work(loading: Loading) -> None:
    found = loading.load("events.queue: {kafka.bootstrap_server: 'a:1'}\nevents.enabled: true")

    assert found.events.queue.kafka.bootstrap_server == "a:1"
    assert found.events.enabled is True


@pytest.mark.parametrize("text", ["true", "TRUE", "yes", "1", "on"])
@pytest.mark.parametrize("other", ["false", "No", "0", "off"])
def test_booleans_have_their_usual_spellings(loading: Loading, text: str, other: str) -> None:
    found = loading.load(f"callback_api: {{check_certificate: {other}}}", env={"EVENTS_ENABLED": text})

    assert found.events.enabled is True
    assert found.callback_api.check_certificate is False


def test_an_empty_variable_counts_as_not_given(loading: Loading) -> None:
    found = loading.load(
        "topics: {partitions: 3}", env={"TOPICS_PARTITIONS": "", "SECRET_WEB_ADMIN_TOKEN": " "}
    )

    assert found.topics.partitions == 3
    assert found.web.admin_token is None


def test_an_empty_yaml_value_leaves_the_default(loading: Loading) -> None:
    found = loading.load("topics:\n  partitions:\ndelivery:\n")

    assert found.topics.partitions == 8
    assert found.origins["topics.partitions"] == "default"


def test_the_short_spelling_of_the_management_port_is_accepted(loading: Loading) -> None:
    assert loading.load("event_processor: {management: 1}").event_processor.management_server_port == 1
    env = {"EVENT_PROCESSOR_MANAGEMENT": "2"}
    assert loading.load(env=env).event_processor.management_server_port == 2


def test_txn_fields_may_be_text_with_commas(loading: Loading) -> None:
    found = loading.load(env={"SEP24_MORE_INFO_URL_TXN_FIELDS": "status, kind"})

    assert found.sep24.more_info_url.txn_fields == ("status", "kind")


def test_a_broker_list_may_be_a_yaml_list_and_may_name_a_protocol(loading: Loading) -> None:
    found = loading.load(
        "events: {queue: {kafka: {bootstrap_server: ['a:1', 'PLAINTEXT://b:2', '[::1]:3']}}}"
    )

    assert found.events.queue.kafka.bootstrap_servers == ("a:1", "b:2", "[::1]:3")


def test_a_kubernetes_service_link_is_left_out_with_a_warning(loading: Loading) -> None:
    links = {
        "EVENT_PROCESSOR_PORT": "tcp://10.0.0.1:8088",
        "EVENT_PROCESSOR_PORT_8088_TCP": "tcp://10.0.0.1:8088",
        "EVENT_PROCESSOR_PORT_8088_TCP_ADDR": "10.0.0.1",
        "EVENT_PROCESSOR_SERVICE_HOST": "10.0.0.1",
        "EVENT_PROCESSOR_SERVICE_PORT": "8088",
    }

    found = loading.load(env=links)

    assert found.event_processor.port == 8088
    assert keys(found.warnings) == ["event_processor.port"]
    assert "enableServiceLinks" in found.warnings[0].right


CONFIG = "configuration file"


def bomb(form: str) -> str:
    """Half a kilobyte, and without a limit more nodes than a machine has bytes."""
    lines = ["a0: &a0 {k: v}"]
    for level in range(1, 12):
        aliases = [f"*a{level - 1}"] * 10
        inside = (
            ", ".join(f"k{n}: {one}" for n, one in enumerate(aliases))
            if form == "{{{}}}"
            else ", ".join(aliases)
        )
        lines.append(f"a{level}: &a{level} " + form.format(inside))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("yaml", "key", "wrong"),
    [
        ("events: [unclosed", "configuration file", "line 1, column 18"),
        ("just text", "configuration file", "no keys"),
        ("- a\n- b", "configuration file", "no keys"),
        ("events: &a\n  b: *a", "configuration file", "nests too deeply"),
        (
            "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 30)),
            CONFIG,
            "nests too deeply",
        ),
        ("[" * 5000, CONFIG, "nests too deeply"),
        (bomb("[{}]"), CONFIG, "has aliases that make it more than"),
        (bomb("{{{}}}"), CONFIG, "has aliases that make it more than"),
        (bomb("{{<<: [{}], k: v}}"), CONFIG, "has aliases that make it more than"),
        ("events: true", "events", "'true' stands where a section belongs"),
        ("events: {queue: kafka}", "events.queue", "'kafka' stands where a section belongs"),
        ("delivery: [1]", "delivery", "stands where a section belongs"),
        ("events: {enabled: {really: true}}", "events.enabled", "is not true or false"),
    ],
)
def test_a_broken_file_is_a_problem_with_a_place(loading: Loading, yaml: str, key: str, wrong: str) -> None:
    problem = loading.problem(yaml)

    assert problem.key == key
    assert problem.origin == f"file {loading.folder / 'anchor.yaml'}"
    assert wrong in problem.wrong


def test_anchors_that_clients_share_are_no_bomb(loading: Loading) -> None:
    common = "x: &common {type: noncustodial, callback_urls: {sep24: 'https://a.example.com'}}"
    items = "\n".join(f"  - {{name: c{n}, domains: ['c{n}.example.com'], <<: *common}}" for n in range(500))
    text = f"clients:\n{items}\n".replace("<<: *common", "type: noncustodial")
    tree = load_text(f"{common}\nitems:\n{items}\n")
    assert len(tree["items"]) == 500
    assert tree["items"][499]["callback_urls"] == {"sep24": "https://a.example.com"}
    assert len(load_text(text)["clients"]) == 500


@pytest.mark.parametrize("name", ["²", "CLIENTS_²_NAME", f"CLIENTS_{'9' * 5000}_NAME", f"A{'9' * 5000}"])
def test_no_name_of_a_variable_ends_the_reading(loading: Loading, name: str) -> None:
    assert loading.load(env={name: "x", "EVENT_PROCESSOR_PORT": "8099"}).event_processor.port == 8099


def test_a_missing_file_is_a_problem_that_says_who_named_it(tmp_path: Path, loading: Loading) -> None:
    problem = loading.problem(env={"STELLAR_ANCHOR_CONFIG": f"file:{tmp_path}/nowhere.yaml"})

    assert problem.origin == "environment STELLAR_ANCHOR_CONFIG"
    assert f"{tmp_path}/nowhere.yaml" in problem.wrong


def test_a_file_that_is_no_text_is_a_problem(tmp_path: Path, loading: Loading) -> None:
    (tmp_path / "store.jks").write_bytes(b"\xfe\xed\xfe\xed")

    assert "UTF-8" in loading.problem(env={"EVENTPROC_CONFIG": str(tmp_path / "store.jks")}).wrong


def test_a_broken_dotenv_line_is_a_problem_that_does_not_quote_it(loading: Loading) -> None:
    problem = loading.problem(dotenv="EVENTS_ENABLED=true\nSECRET_WEB_ADMIN_TOKEN='hunter2\n")

    assert "line 2" in problem.wrong
    assert "hunter2" not in str(problem)


def test_a_dollar_sign_in_a_dotenv_secret_is_kept(loading: Loading) -> None:
    found = loading.load(dotenv="SECRET_WEB_ADMIN_TOKEN=a${HOME}$b-and-more")

    assert found.web.admin_token is not None
    assert found.web.admin_token.get_secret_value() == "a${HOME}$b-and-more"


def test_every_file_that_was_looked_into_is_known_also_when_something_is_wrong(
    tmp_path: Path, loading: Loading
) -> None:
    clients, token = tmp_path / "clients.yaml", tmp_path / "token"
    clients.write_text("items: []", encoding="utf-8")
    token.write_text("a-token-of-some-length", encoding="utf-8")
    yaml = "clients: {type: file, value: clients.yaml}"
    env = {"SECRET_WEB_ADMIN_TOKEN_FILE": str(token)}
    files = {tmp_path / name for name in ("anchor.yaml", ".env", "clients.yaml", "token")}

    assert set(loading.load(yaml, env).files) == files

    token.unlink()
    with pytest.raises(SettingsError) as caught:
        loading.load(yaml, env)
    assert set(caught.value.files) == files


def test_a_dotenv_that_may_come_is_among_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(env={}).files == (tmp_path / ".env",)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (r'[{"name": "a \"b\" \\c", "type": "noncustodial", "domains": ["a.example"]}]', r'a "b" \c'),
        (r"[{\"name\": \"a b\", \"type\": \"noncustodial\", \"domains\": [\"a.example\"]}]", "a b"),
        (r'[\n{"name": "a",\n "type": "noncustodial", "domains": ["a.example"]}]', "a"),
    ],
)
def test_escapes_within_json_stay_and_others_are_undone(loading: Loading, written: str, name: str) -> None:
    env = {"EVENTS_ENABLED": "true", "CLIENTS_TYPE": "json", "CLIENTS_VALUE": written}

    assert [client.name for client in loading.load(env=env).clients] == [name]
