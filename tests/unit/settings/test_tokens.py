"""``events.queue.type: msk``, OAUTHBEARER, and what is missing for them."""

from __future__ import annotations

import pytest

from tests.unit.settings.loading import Loading, keys

MSK = {"EVENTS_QUEUE_TYPE": "MSK", "EVENTS_QUEUE_MSK_BOOTSTRAP_SERVER": "b-1:9098", "EVENTS_ENABLED": "false"}
OAUTH = {
    "EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "EVENTS_QUEUE_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
}
COMPLETE = {
    "CONSUMER_OAUTHBEARER_TOKEN_ENDPOINT_URL": "https://login.example/token",
    "CONSUMER_OAUTHBEARER_CLIENT_ID": "eventproc",
    "SECRET_CONSUMER_OAUTHBEARER_CLIENT_SECRET": "hunter2",
}


@pytest.mark.parametrize("spelling", ["use_iam", "useIAM", "use_IAM", "use-iam"])
def test_msk_with_iam_is_sasl_ssl_with_tokens_whatever_kafka_says(loading: Loading, spelling: str) -> None:
    yaml = f"""
        events:
          queue:
            type: msk
            kafka: {{bootstrap_server: 'old:9092', security_protocol: PLAINTEXT, sasl_mechanism: PLAIN}}
            msk: {{bootstrap_server: 'b-1:9098,b-2:9098', {spelling}: true, client_id: anchor}}
    """

    found = loading.load(yaml)

    kafka = found.events.queue.kafka
    assert kafka.bootstrap_servers == ("b-1:9098", "b-2:9098")
    assert (kafka.security_protocol, kafka.sasl_mechanism) == ("SASL_SSL", "OAUTHBEARER")
    assert kafka.client_id == "anchor"
    assert found.events.queue.uses_iam
    assert found.origins["events.queue.kafka.security_protocol"] == "events.queue.msk, by events.queue.type"
    assert found.warnings == ()


def test_msk_without_iam_logs_in_as_kafka_does(loading: Loading) -> None:
    env = MSK | {
        "EVENTS_QUEUE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "EVENTS_QUEUE_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "SECRET_EVENTS_QUEUE_KAFKA_USERNAME": "u",
        "SECRET_EVENTS_QUEUE_KAFKA_PASSWORD": "p",
    }

    queue = loading.load(env=env).events.queue

    assert queue.kafka.bootstrap_server == "b-1:9098"
    assert (queue.kafka.sasl_mechanism, queue.uses_iam) == ("SCRAM-SHA-512", False)


def test_msk_without_brokers_is_a_problem_and_iam_without_msk_a_warning(loading: Loading) -> None:
    assert loading.problem(env={"EVENTS_QUEUE_TYPE": "msk"}).key == "events.queue.msk.bootstrap_server"
    assert keys(loading.load(env={"EVENTS_QUEUE_MSK_USE_IAM": "true"}).warnings) == [
        "events.queue.msk.use_iam"
    ]


@pytest.mark.parametrize("missing", COMPLETE)
def test_a_token_endpoint_needs_all_of_its_keys(loading: Loading, missing: str) -> None:
    env = OAUTH | {name: value for name, value in COMPLETE.items() if name != missing}

    problem = loading.problem(env=env)

    assert problem.key.upper().replace(".", "_") == missing
    assert "OAUTHBEARER" in problem.wrong
    assert "hunter2" not in str(problem)


def test_a_complete_token_login_needs_no_user_name(loading: Loading) -> None:
    assert loading.load(env=OAUTH | COMPLETE).warnings == ()


def test_a_token_endpoint_by_http_is_a_warning(loading: Loading) -> None:
    env = OAUTH | COMPLETE | {"CONSUMER_OAUTHBEARER_TOKEN_ENDPOINT_URL": "http://login.example/token"}

    assert keys(loading.load(env=env).warnings) == ["consumer.oauthbearer.token_endpoint_url"]


@pytest.mark.parametrize("value", ["sqs", "SQS"])
def test_sqs_is_refused_with_what_to_do(loading: Loading, value: str) -> None:
    problem = loading.problem(env={"EVENTS_QUEUE_TYPE": value})

    assert problem.key == "events.queue.type"
    assert "implemented by none" in problem.wrong
    assert "kafka or msk" in problem.right
