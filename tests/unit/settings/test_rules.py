from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from stellar_sdk import Keypair

from tests.unit.settings.loading import SEED, Loading, keys

WALLET = """
    clients:
      items:
        - {name: wallet, type: noncustodial, domains: [wallet.example], callback_urls: {sep24: "https://w.example/cb"}}
"""
LONG_SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("kind", ["jwt", "api_key"])
def test_jwt_and_api_key_need_the_secret_when_the_business_server_is_served(
    loading: Loading, kind: str
) -> None:
    env = {"CALLBACK_API_AUTH_TYPE": kind, "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true"}

    problem = loading.problem(env=env)

    assert problem.key == "SECRET_CALLBACK_API_AUTH_SECRET"
    assert f"callback_api.auth.type is {kind}" in problem.wrong
    assert "environment or .env" in problem.right
    loading.load(env=env | {"EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "false"})
    loading.load(env=env | {"SECRET_CALLBACK_API_AUTH_SECRET": LONG_SECRET})


def test_an_api_key_must_fit_into_a_header_and_is_not_shown(loading: Loading) -> None:
    env = {
        "CALLBACK_API_AUTH_TYPE": "api_key",
        "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true",
        "SECRET_CALLBACK_API_AUTH_SECRET": "hünter2",
    }

    problem = loading.problem(env=env)

    assert problem.key == "SECRET_CALLBACK_API_AUTH_SECRET"
    assert "hünter2" not in str(problem)


def test_a_jwt_secret_below_32_bytes_warns(loading: Loading) -> None:
    env = {"CALLBACK_API_AUTH_TYPE": "jwt", "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true"}

    short = loading.load(env=env | {"SECRET_CALLBACK_API_AUTH_SECRET": LONG_SECRET[:-1]})
    enough = loading.load(env=env | {"SECRET_CALLBACK_API_AUTH_SECRET": LONG_SECRET})

    assert keys(short.warnings) == ["SECRET_CALLBACK_API_AUTH_SECRET"]
    assert LONG_SECRET[:-1] not in str(short.warnings[0])
    assert enough.warnings == ()


def test_a_callback_url_needs_the_signing_seed(loading: Loading) -> None:
    problem = loading.problem(WALLET)

    assert problem.key == "SECRET_SEP10_SIGNING_SEED"
    assert "a client has a callback URL" in problem.wrong
    loading.load(WALLET, env={"EVENT_PROCESSOR_CLIENT_STATUS_CALLBACK_ENABLED": "false"})
    loading.load(WALLET, env={"SECRET_SEP10_SIGNING_SEED": SEED})
    loading.load(WALLET.replace("https://w.example/cb", ""))


def test_the_missing_seed_is_reported_beside_a_client_with_a_mistake(loading: Loading) -> None:
    problems = loading.problems(WALLET.replace("https:", "ftp:"))

    assert sorted(keys(problems)) == ["SECRET_SEP10_SIGNING_SEED", "clients.items[0].callback_urls.sep24"]


@pytest.mark.parametrize(
    "seed",
    [
        SEED[:-1] + "A",  # checksum
        SEED[:-1],
        SEED.lower(),
        "GDJLBYYKMCXNVVNABOE66NYXQGIA5AC5D223Z2KF6ZEYK4UBCA7FKLTG",  # a public key
        "S" + "1" * 55,  # not base32
        "hunter2",
    ],
)
def test_a_bad_seed_is_one_problem_that_never_shows_it(loading: Loading, seed: str) -> None:
    problem = loading.problem(WALLET, env={"SECRET_SEP10_SIGNING_SEED": seed})

    assert problem.key == "SECRET_SEP10_SIGNING_SEED"
    assert problem.origin == "environment SECRET_SEP10_SIGNING_SEED"
    assert seed not in str(problem)


def test_sasl_needs_user_name_and_password(loading: Loading) -> None:
    env = {"EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL": "sasl_plaintext"}

    problems = loading.problems(env=env)

    username, password = "SECRET_EVENTS_QUEUE_KAFKA_USERNAME", "SECRET_EVENTS_QUEUE_KAFKA_PASSWORD"
    assert keys(problems) == [username, password]
    assert keys(loading.problems(env=env | {username: "u"})) == [password]
    found = loading.load(env=env | {username: "u", password: "p"})
    assert found.events.queue.kafka.security_protocol == "SASL_PLAINTEXT"
    assert found.events.queue.kafka.uses_sasl
    assert not found.events.queue.kafka.uses_ssl


@pytest.mark.parametrize(
    ("larger", "smaller"),
    [
        ("delivery.max_waiting", "delivery.max_in_flight"),
        ("delivery.retry.max_seconds", "delivery.retry.initial_seconds"),
        ("delivery.breaker.open_max_seconds", "delivery.breaker.open_initial_seconds"),
        ("delivery.request_timeout_seconds", "delivery.connect_timeout_seconds"),
        ("delivery.worker_shutdown_timeout_seconds", "delivery.drain_timeout_seconds"),
    ],
)
def test_a_limit_below_what_it_limits_is_a_problem(loading: Loading, larger: str, smaller: str) -> None:
    problem = loading.problem(f"{larger}: 4\n{smaller}: 5")

    assert problem.key == larger
    assert smaller in problem.wrong
    assert problem.right == "5 or more"
    loading.load(f"{larger}: 5\n{smaller}: 5")


def test_a_heartbeat_above_a_third_of_the_session_is_a_problem(loading: Loading) -> None:
    problem = loading.problem("consumer: {session_timeout_seconds: 6, heartbeat_interval_seconds: 3}")

    assert problem.key == "consumer.heartbeat_interval_seconds"
    assert problem.right == "2 or less"
    loading.load("consumer: {session_timeout_seconds: 6, heartbeat_interval_seconds: 2}")


def test_a_rule_is_silent_about_a_key_that_is_wrong_already(loading: Loading) -> None:
    assert keys(loading.problems("delivery: {max_waiting: 10, max_in_flight: many}")) == [
        "delivery.max_in_flight"
    ]


def test_our_prefix_may_not_begin_the_source_topics_name(loading: Loading) -> None:
    assert loading.problem("topics: {source: eventproc.dead-letter}").key == "topics.prefix"


@pytest.mark.parametrize("name", ["ssl_keystore_location", "ssl_truststore_location"])
def test_a_missing_key_store_is_a_problem_where_tls_is_used(
    loading: Loading, tmp_path: Path, name: str
) -> None:
    env = {f"EVENTS_QUEUE_KAFKA_{name.upper()}": f"file:{tmp_path}/store.p12"}

    loading.load(env=env)
    problem = loading.problem(env=env | {"EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL": "SSL"})
    assert problem.key == f"events.queue.kafka.{name}"
    assert f"{tmp_path}/store.p12 is not there" in problem.wrong
    (tmp_path / "store.p12").touch()
    loading.load(env=env | {"EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL": "SSL"})


@pytest.mark.parametrize("name", ["ssl_keystore_location", "ssl_truststore_location"])
def test_a_store_inside_the_anchor_platforms_jar_is_asked_for_as_a_file(loading: Loading, name: str) -> None:
    location = "classpath:common/secrets/kafka.keystore.jks"
    env = {
        f"EVENTS_QUEUE_KAFKA_{name.upper()}": location,
        "EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL": "SSL",
    }

    problem = loading.problem(env=env)

    assert problem.wrong == f"{location} is inside the Anchor Platform's jar, which is not here"
    assert problem.right == "the path of a copy of that file"


def test_no_trust_store_is_needed_where_nothing_is_verified_and_that_warns(
    loading: Loading, tmp_path: Path
) -> None:
    found = loading.load(
        env={
            "EVENTS_QUEUE_KAFKA_SSL_TRUSTSTORE_LOCATION": str(tmp_path / "nowhere.p12"),
            "EVENTS_QUEUE_KAFKA_SSL_VERIFY_CERT": "false",
            "EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL": "SSL",
        }
    )

    assert keys(found.warnings) == ["events.queue.kafka.ssl_verify_cert"]
    assert "can read and change everything" in found.warnings[0].wrong


@pytest.mark.parametrize(
    ("protocol", "mechanism", "readable"),
    [
        ("SASL_PLAINTEXT", "PLAIN", "the password and all events"),
        ("SASL_PLAINTEXT", "SCRAM-SHA-512", "SCRAM-SHA-512: all events"),
        ("SASL_SSL", "PLAIN", None),
        ("SASL_SSL", "SCRAM-SHA-256", None),
    ],
)
def test_a_login_without_tls_warns(
    loading: Loading, protocol: str, mechanism: str, readable: str | None
) -> None:
    found = loading.load(
        env={
            "EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL": protocol,
            "EVENTS_QUEUE_KAFKA_SASL_MECHANISM": mechanism,
            "SECRET_EVENTS_QUEUE_KAFKA_USERNAME": "u",
            "SECRET_EVENTS_QUEUE_KAFKA_PASSWORD": "p",
        }
    )

    if readable is None:
        assert found.warnings == ()
    else:
        assert keys(found.warnings) == ["events.queue.kafka.security_protocol"]
        assert readable in found.warnings[0].wrong


def test_a_client_key_needs_its_certificate_and_both_must_be_there(loading: Loading, tmp_path: Path) -> None:
    (tmp_path / "key.pem").touch()
    env = {
        "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED": "true",
        "CALLBACK_API_CLIENT_KEY_PATH": str(tmp_path / "key.pem"),
    }

    assert keys(loading.problems(env=env)) == ["callback_api.client_certificate_path"]
    problems = loading.problems(
        env=env | {"CALLBACK_API_CLIENT_CERTIFICATE_PATH": str(tmp_path / "cert.pem")}
    )
    assert keys(problems) == ["callback_api.client_certificate_path"]
    assert "is not there" in problems[0].wrong


def test_a_missing_more_info_secret_warns_when_a_client_has_that_url(loading: Loading) -> None:
    env = {"SECRET_SEP10_SIGNING_SEED": SEED}

    found = loading.load(WALLET, env=env)

    assert keys(found.warnings) == ["SECRET_SEP24_MORE_INFO_URL_JWT_SECRET"]
    assert "more_info_url" in found.warnings[0].wrong
    assert (
        loading.load(WALLET, env=env | {"SECRET_SEP24_MORE_INFO_URL_JWT_SECRET": LONG_SECRET}).warnings == ()
    )


def test_events_that_go_to_nobody_warn(loading: Loading) -> None:
    found = loading.load(env={"EVENTS_ENABLED": "true"})

    assert keys(found.warnings) == ["event_processor.callback_api_request.enabled"]
    assert loading.load(env={"EVENTS_ENABLED": "false"}).warnings == ()


def test_events_that_are_off_are_no_mistake(loading: Loading) -> None:
    assert loading.load("events: {enabled: false}").events.enabled is False


def test_topic_names_come_from_the_prefix(loading: Loading) -> None:
    topics = loading.load("topics: {prefix: anchor-}").topics

    assert (topics.invalid, topics.dead_letter, topics.customers, topics.attempts) == (
        "anchor-invalid",
        "anchor-dead-letter",
        "anchor-customers",
        "anchor-attempts",
    )


def test_a_token_for_reading_needs_a_token(loading: Loading) -> None:
    problem = loading.problem(env={"WEB_REQUIRE_TOKEN_FOR_READING": "true"})

    assert problem.key == "SECRET_WEB_ADMIN_TOKEN"
    assert "web.require_token_for_reading is true" in problem.wrong


@pytest.mark.parametrize("token", ["hunter2", "hünter2hünter2hünter2"])
def test_an_admin_token_must_be_long_enough_and_fit_into_a_header(loading: Loading, token: str) -> None:
    problem = loading.problem(env={"SECRET_WEB_ADMIN_TOKEN": token})

    assert problem.key == "SECRET_WEB_ADMIN_TOKEN"
    assert token not in str(problem)
    loading.load(env={"SECRET_WEB_ADMIN_TOKEN": LONG_SECRET, "WEB_REQUIRE_TOKEN_FOR_READING": "true"})


NEXT_AT = "SEP10_SIGNING_SEED_NEXT_AT"
NEXT = "SECRET_SEP10_SIGNING_SEED_NEXT"


def test_the_next_seed_signs_from_its_time_on(loading: Loading) -> None:
    following = Keypair.random().secret
    env = {"SECRET_SEP10_SIGNING_SEED": SEED, NEXT: following, NEXT_AT: "2026-12-01T11:00:00+01:00"}
    sep10 = loading.load(env=env).sep10
    moment = datetime(2026, 12, 1, 10, tzinfo=timezone.utc)

    def seed(at: datetime) -> str:
        found = sep10.seed_at(at)
        assert found is not None
        return found.get_secret_value()

    assert seed(moment - timedelta(microseconds=1)) == SEED
    assert seed(moment) == following


def test_without_a_plan_the_one_seed_signs_for_ever(loading: Loading) -> None:
    sep10 = loading.load(env={"SECRET_SEP10_SIGNING_SEED": SEED}).sep10
    assert sep10.seed_at(datetime(9999, 1, 1, tzinfo=timezone.utc)) == sep10.signing_seed


def test_a_time_without_a_next_seed_is_a_problem(loading: Loading) -> None:
    problem = loading.problem("sep10: {signing_seed_next_at: 2026-12-01T10:00:00Z}")
    assert problem.key == NEXT


def test_a_next_seed_without_a_time_is_not_used_and_said_so(loading: Loading) -> None:
    (warning,) = loading.load(env={NEXT: SEED}).warnings
    assert warning.key == "sep10.signing_seed_next_at"


@pytest.mark.parametrize(
    ("given", "wrong"), [("tomorrow", "is not a time"), ("2026-12-01T10:00:00", "has no time zone")]
)
def test_the_time_of_the_next_seed_must_be_one(loading: Loading, given: str, wrong: str) -> None:
    problem = loading.problem(env={NEXT: SEED, NEXT_AT: given})
    assert problem.key == "sep10.signing_seed_next_at"
    assert wrong in problem.wrong
    assert "zone" in problem.right
