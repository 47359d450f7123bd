from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings import Problem, SettingsError, load_settings
from settings.keys import variable_of
from tests.unit.settings.loading import Loading, keys

# key, wrong value, part of what is wrong, part of what is right
WRONG_VALUES = [
    ("events.enabled", "yess", "'yess' is not true or false", "true or false"),
    ("events.queue.type", "rabbit", "'rabbit' is not known", "kafka"),
    ("events.queue.type", "sqs", "'sqs' is named by the Anchor Platform", "kafka or msk"),
    ("events.queue.kafka.bootstrap_server", "kafka", "'kafka' is not host:port", "host:port"),
    ("events.queue.kafka.bootstrap_server", "kafka:99999", "'kafka:99999' is not host:port", "host:port"),
    ("events.queue.kafka.bootstrap_server", "a:1,:2", "':2' is not host:port", "host:port"),
    ("events.queue.kafka.bootstrap_server", "a:1,u@b:2", "is not host:port", "host:port"),
    ("events.queue.kafka.retries", "-1", "'-1' is too small", "0 or more"),
    ("events.queue.kafka.linger_ms", "soon", "'soon' is not a whole number", "a whole number"),
    ("events.queue.kafka.batch_size", "1.5", "'1.5' is not a whole number", "a whole number"),
    ("events.queue.kafka.poll_timeout_seconds", "0", "'0' is too small", "more than 0"),
    (
        "events.queue.kafka.security_protocol",
        "TLS",
        "'TLS' is not known",
        "one of PLAINTEXT, SASL_PLAINTEXT,",
    ),
    ("events.queue.kafka.sasl_mechanism", "GSSAPI", "'GSSAPI' is not known", "SCRAM-SHA-256"),
    ("events.queue.kafka.ssl_verify_cert", "maybe", "'maybe' is not true or false", "true or false"),
    ("event_processor.client_status_callback.enabled", "2", "'2' is not true or false", "true or false"),
    ("event_processor.callback_api_request.enabled", "x", "'x' is not true or false", "true or false"),
    ("event_processor.port", "0", "'0' is too small", "1 or more"),
    ("event_processor.port", "65536", "'65536' is too large", "65535 or less"),
    ("event_processor.management_server_port", "web", "'web' is not a whole number", "a whole number"),
    ("callback_api.base_url", "localhost:8081", "does not start with http", "https://"),
    ("callback_api.base_url", "ftp://x", "'ftp://x' does not start with http", "https://"),
    ("callback_api.base_url", "http://", "has no host", "https://"),
    ("callback_api.base_url", "http://h:0", "a port that is no port (1 to 65535)", "https://"),
    ("callback_api.base_url", "http://h:99999", "a port that is no port (1 to 65535)", "https://"),
    ("callback_api.base_url", "http://[::1", "a host that is no host", "https://"),
    ("callback_api.base_url", "http://h /x", "a host that is no host", "https://"),
    (
        "callback_api.base_url",
        "http://xn--a.test/x",
        "'http://xn--a.test/x' has a host that is no host",
        "https://",
    ),
    ("delivery.proxy_url", "http://u:hunter2@h", "has a password in it", "SECRET_DELIVERY_PROXY_PASSWORD"),
    ("callback_api.base_url", "http://u:hunter2@h", "has a user name or password", "without user"),
    ("callback_api.event_path_mode", "both", "'both' is not known", "one of root, append"),
    ("callback_api.check_certificate", "n/a", "'n/a' is not true or false", "true or false"),
    ("callback_api.auth.type", "jtw", "did you mean jwt?", "one of none, jwt, api_key"),
    ("callback_api.auth.jwt.expiration_milliseconds", "4999", "'4999' is too small", "5000 or more"),
    ("callback_api.auth.jwt.http_header", "X Auth:", "is not a header name", "X-Api-Key"),
    ("callback_api.auth.api_key.http_header", "Clé", "is not a header name", "X-Api-Key"),
    ("sep6.more_info_url.base_url", "/more", "does not start with http", "https://"),
    ("sep24.more_info_url.base_url", "more", "does not start with http", "https://"),
    ("sep24.more_info_url.jwt_expiration", "0", "'0' is too small", "1 or more"),
    ("clients.type", "db", "'db' is not known", "one of file, yaml, json, items"),
    ("client_status_callback.legacy_signature_header", "x", "is not true or false", "true or false"),
    ("delivery.client_routing", "brodcast", "did you mean broadcast?", "one of strict, broadcast"),
    ("delivery.order", "sorted", "'sorted' is not known", "one of as_received, skip_stale"),
    ("delivery.on_dead_letter", "stop", "'stop' is not known", "one of continue, hold_transaction"),
    ("delivery.max_in_flight", "0", "'0' is too small", "1 or more"),
    ("delivery.max_waiting", "-5", "'-5' is too small", "1 or more"),
    ("delivery.rate_limit_per_second", "0", "'0' is too small", "more than 0"),
    ("delivery.connect_timeout_seconds", "nan", "'nan' is not a number", "a number"),
    ("delivery.request_timeout_seconds", "inf", "'inf' is not a number", "a number"),
    ("delivery.response_excerpt_bytes", "65537", "'65537' is too large", "65536 or less"),
    ("delivery.retry.initial_seconds", "0", "'0' is too small", "more than 0"),
    ("delivery.retry.max_seconds", "long", "'long' is not a number", "a number"),
    ("delivery.retry.retry_after_max_seconds", "-1", "'-1' is too small", "0 or more"),
    ("delivery.retry.poison_attempts", "0", "'0' is too small", "1 or more"),
    ("delivery.breaker.failure_threshold", "0", "'0' is too small", "1 or more"),
    ("delivery.breaker.open_initial_seconds", "0", "'0' is too small", "more than 0"),
    ("delivery.breaker.open_max_seconds", "x", "'x' is not a number", "a number"),
    ("delivery.commit_interval_seconds", "0", "'0' is too small", "more than 0"),
    ("delivery.drain_timeout_seconds", "x", "'x' is not a number", "a number"),
    ("delivery.worker_shutdown_timeout_seconds", "x", "'x' is not a number", "a number"),
    ("delivery.stuck_after_seconds", "0", "'0' is too small", "more than 0"),
    ("delivery.allow_private_networks", "x", "'x' is not true or false", "true or false"),
    ("delivery.allowed_networks", "10.0.0.0/33", "'10.0.0.0/33' is not a network", "like 10.1.0.0/16"),
    ("delivery.allowed_networks", "fd00::/8,wallet", "'wallet' is not a network", "like 10.1.0.0/16"),
    ("delivery.allowed_networks", "10.1.2.3/16", "is an address within a network", "10.1.0.0/16"),
    ("delivery.proxy_url", "socks5://p:1", "does not start with http", "http://"),
    ("delivery.user_agent", "ünï", "an HTTP header cannot carry", "printable ASCII"),
    ("topics.source", "my topic", "cannot be (part of) a topic name", "A-Z a-z 0-9"),
    ("topics.prefix", "a/b", "cannot be (part of) a topic name", "A-Z a-z 0-9"),
    ("topics.partitions", "0", "'0' is too small", "1 or more"),
    ("topics.replication_factor", "0", "'0' is too small", "1 or more"),
    ("topics.retention_hours", "0", "'0' is too small", "1 or more"),
    ("topics.invalid_retention_hours", "x", "'x' is not a whole number", "a whole number"),
    ("topics.dead_letter_retention_hours", "x", "'x' is not a whole number", "a whole number"),
    ("topics.max_message_bytes", "5", "'5' is too small", "1024 or more"),
    ("timeline.enabled", "perhaps", "'perhaps' is not true or false", "true or false"),
    ("timeline.retention_hours", "0", "'0' is too small", "1 or more"),
    ("timeline.partitions", "0", "'0' is too small", "1 or more"),
    ("timeline.flush_seconds", "0", "'0' is too small", "more than 0"),
    (
        "consumer.isolation_level",
        "serializable",
        "'serializable' is not known",
        "one of read_committed, read_",
    ),
    ("consumer.session_timeout_seconds", "0", "'0' is too small", "more than 0"),
    ("consumer.heartbeat_interval_seconds", "0", "'0' is too small", "more than 0"),
    ("consumer.max_poll_records", "501", "'501' is too large", "500 or less"),
    ("consumer.connect_attempts_seconds", "x", "'x' is not a number", "a number"),
    ("web.port", "http", "'http' is not a whole number", "a whole number"),
    ("web.hosts", "https://x", "'https://x' is no host", "a host without scheme and port"),
    ("web.hosts", "x:80", "'x:80' is no host", "a host without scheme and port"),
    ("logging.level", "loud", "'loud' is not known", "one of debug, info,"),
    ("logging.format", "xml", "'xml' is not known", "one of human, json"),
]


@pytest.mark.parametrize("in_yaml", [False, True], ids=["environment", "yaml"])
@pytest.mark.parametrize(("key", "value", "wrong", "right"), WRONG_VALUES)
def test_a_wrong_value_gets_one_problem_with_key_origin_value_and_way_out(
    loading: Loading, *, key: str, value: str, wrong: str, right: str, in_yaml: bool
) -> None:
    if in_yaml:
        problem = loading.problem(f"{key}: {value!r}")
        origin = f"file {loading.folder / 'anchor.yaml'}"
    else:
        problem = loading.problem(env={variable_of(key): value})
        origin = f"environment {variable_of(key)}"

    assert (problem.key, problem.origin) == (key, origin)
    assert wrong in problem.wrong
    assert right in problem.right
    assert "hunter2" not in str(problem)


ONE_WRONG_VALUE_PER_KEY = {key: value for key, value, _, _ in WRONG_VALUES}


@given(wrong=st.sets(st.sampled_from(sorted(ONE_WRONG_VALUE_PER_KEY))))
def test_any_set_of_wrong_values_gets_one_problem_per_key(wrong: set[str]) -> None:
    env = {variable_of(key): ONE_WRONG_VALUE_PER_KEY[key] for key in wrong}

    assert sorted(_problem_keys(env)) == sorted(wrong)


def test_the_message_counts_and_lists_the_problems() -> None:
    error = SettingsError(
        [Problem("a.b", "environment A_B", "is odd", "even"), Problem("c", "not set", "is gone", "x")]
    )

    assert str(error).splitlines() == [
        "2 problems in the configuration:",
        "  - a.b (environment A_B): is odd; right: even",
        "  - c: is gone; right: x",
    ]


def test_an_error_carries_no_validation_error_with_the_values_in_it(loading: Loading) -> None:
    with pytest.raises(SettingsError) as caught:
        loading.load(env={"EVENTS_ENABLED": "x"})

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_settings_cannot_be_changed(loading: Loading) -> None:
    found = loading.load()

    with pytest.raises(ValueError, match="frozen"):
        found.topics.partitions = 3  # type: ignore[misc]


def test_a_seed_pasted_into_an_open_key_is_masked(loading: Loading) -> None:
    seed = "SAX3AH622R2XT6DXWWSRIDCMMUCCMATBZ5U6XKJWDO7M2EJUBFC3AW5X"

    assert seed not in str(loading.problem(env={"CALLBACK_API_AUTH_TYPE": seed}))
    assert seed.lower() not in str(loading.problem(env={"CALLBACK_API_AUTH_TYPE": seed})).lower()


def test_a_long_value_is_cut_in_the_message(loading: Loading) -> None:
    assert len(str(loading.problem(env={"EVENTS_ENABLED": "x" * 10_000}))) < 300


def _problem_keys(env: dict[str, str]) -> list[str]:
    try:
        load_settings(env=env)
    except SettingsError as error:
        return keys(error.problems)
    return []
