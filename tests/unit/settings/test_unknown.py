from __future__ import annotations

import pytest

from tests.unit.settings.loading import Loading, keys


@pytest.mark.parametrize(
    ("key", "guess"),
    [
        ("events.enable", "events.enabled?"),
        ("events.queue.kafka.bootstrap-servr", "events.queue.kafka.bootstrap_server?"),
        ("events.queue.kafka.bootstrap_servers", "events.queue.kafka.bootstrap_server?"),
        ("event_processor.callback_api_requests.enabled", "event_processor.callback_api_request.enabled?"),
        ("callbackApi.baseUri", "callback_api.base_url?"),
        ("callback_api.auth.jwt.expiration_millis", "callback_api.auth.jwt.expiration_milliseconds?"),
        ("client_status_callback.legacy_header", "client_status_callback.legacy_signature_header?"),
        ("delivery.retry.max_second", "delivery.retry.max_seconds?"),
        ("topics.partition", "topics.partitions?"),
        ("consumer.max_poll_record", "consumer.max_poll_records?"),
        ("web.prot", "web.port?"),
        ("logging.levels", "logging.level?"),
        ("clients.valu", "clients.value?"),
        ("sep24.more_info_url.base_uri", "sep24.more_info_url.base_url?"),
        ("delivry.max_in_flight", "delivery?"),
        ("event.enabled", "events?"),
    ],
)
def test_a_mistyped_key_of_ours_warns_with_the_nearest_name(loading: Loading, key: str, guess: str) -> None:
    found = loading.load(f"{key}: hunter2")

    assert keys(found.warnings) == [key]
    assert found.warnings[0].right == guess
    assert found.warnings[0].origin == f"file {loading.folder / 'anchor.yaml'}"
    assert "hunter2" not in str(found.warnings[0])


@pytest.mark.parametrize(
    "key",
    [
        "data.type",
        "sep24.interactive_url.base_url",
        "sep24.enabled",
        "sep10.home_domains",
        "sep38.enabled",
        "assets.value",
        "languages",
        "version",
        "event_processor.context_path",
        "events.queue.sqs.aws_region",
        "payment_observer.port",
        "x-anchors",
        "secret.data.password",
    ],
)
def test_a_foreign_key_is_passed_over_in_silence(loading: Loading, key: str) -> None:
    assert loading.load(f"{key}: x").warnings == ()


@pytest.mark.parametrize(
    ("variable", "guess"),
    [
        ("EVENTS_QUEUE_KAFKA_BOOTSTRAP_SERVERS", "EVENTS_QUEUE_KAFKA_BOOTSTRAP_SERVER?"),
        ("EVENT_PROCESSOR_CALLBACK_API_ENABLED", "EVENT_PROCESSOR_CALLBACK_API_REQUEST_ENABLED?"),
        ("CALLBACK_API_BASEURI", "CALLBACK_API_BASE_URL?"),
        ("DELIVERY_RETRY_MAX", "DELIVERY_RETRY_MAX_SECONDS?"),
        ("TOPICS_PARTITION", "TOPICS_PARTITIONS?"),
        ("CLIENTS_VALUES", "CLIENTS_VALUE?"),
        ("SECRET_CALLBACK_API_AUTH_SECERT", "SECRET_CALLBACK_API_AUTH_SECRET?"),
        ("SECRET_SEP10_SIGNING_SEEDS", "SECRET_SEP10_SIGNING_SEED?"),
        # A secret without SECRET_ before it.
        ("CALLBACK_API_AUTH_SECRET", "SECRET_CALLBACK_API_AUTH_SECRET?"),
        ("EVENTS_QUEUE_KAFKA_PASSWORD", "SECRET_EVENTS_QUEUE_KAFKA_PASSWORD?"),
    ],
)
def test_a_mistyped_variable_warns_with_the_nearest_name(loading: Loading, variable: str, guess: str) -> None:
    found = loading.load(env={variable: "hunter2"})

    assert keys(found.warnings) == [variable]
    assert found.warnings[0].right == guess
    assert "hunter2" not in str(found.warnings[0])


@pytest.mark.parametrize(
    "variable",
    [
        "HOME",
        "WEB_CONCURRENCY",
        "LOGGING_LEVEL_ROOT",
        "CONSUMER_KEY",
        "EVENT_PROCESSOR_CONTEXT_PATH",
        "EVENTS_QUEUE_SQS_USE_IAM",
        "SECRET_DATA_PASSWORD",
        "SECRET_PLATFORM_API_AUTH_SECRET",
        "SECRET_SEP10_JWT_SECRET",
        "SECRET_SEP45_JWT_SECRET",
        "SECRET_SEP24_INTERACTIVE_URL_JWT_SECRET",
        "SECRET_CUSTODY_SERVER_AUTH_SECRET",
        "EVENTS_SERVICE_HOST",
    ],
)
def test_a_foreign_variable_is_passed_over_in_silence(loading: Loading, variable: str) -> None:
    assert loading.load(env={variable: "x"}).warnings == ()


def test_a_key_like_nothing_points_to_the_reference(loading: Loading) -> None:
    (warning,) = loading.load("delivery: {zzzzqqqq: 1}").warnings

    assert warning.key == "delivery.zzzzqqqq"
