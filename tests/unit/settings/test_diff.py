"""What a reload can take over, key by key."""

from __future__ import annotations

from typing import Any

import pytest

from settings.diff import LIVE, compare, is_live
from settings.keys import all_keys, sections
from tests.unit.settings.loading import SEED, Loading

NEEDS_RESTART = {
    "delivery.name_servers",
    "events.enabled",
    "events.queue.type",
    "events.queue.kafka.bootstrap_server",
    "events.queue.kafka.client_id",
    "events.queue.kafka.security_protocol",
    "events.queue.kafka.sasl_mechanism",
    "events.queue.kafka.ssl_verify_cert",
    "events.queue.kafka.ssl_keystore_location",
    "events.queue.kafka.ssl_truststore_location",
    "events.queue.kafka.username",
    "events.queue.kafka.password",
    "events.queue.kafka.ssl_keystore_password",
    "events.queue.kafka.ssl_key_password",
    "events.queue.kafka.ssl_truststore_password",
    "events.queue.msk.bootstrap_server",
    "events.queue.msk.use_iam",
    "events.queue.msk.client_id",
    "consumer.oauthbearer.token_endpoint_url",
    "consumer.oauthbearer.client_id",
    "consumer.oauthbearer.scope",
    "consumer.oauthbearer.client_secret",
    "event_processor.port",
    "delivery.mode",
    "delivery.shadow.retention_hours",
    "delivery.on_dead_letter",
    "delivery.max_waiting_bytes",
    "delivery.commit_interval_seconds",
    "delivery.drain_timeout_seconds",
    "delivery.worker_shutdown_timeout_seconds",
    "delivery.stuck_after_seconds",
    "topics.source",
    "topics.prefix",
    "topics.invalid_retention_hours",
    "topics.dead_letter_retention_hours",
    "topics.consumer_group",
    "topics.max_message_bytes",
    "timeline.enabled",
    "timeline.retention_hours",
    "timeline.partitions",
    "timeline.flush_seconds",
    "tracing.enabled",
    "tracing.endpoint",
    "tracing.sample_ratio",
    "consumer.isolation_level",
    "consumer.session_timeout_seconds",
    "consumer.heartbeat_interval_seconds",
    "consumer.max_poll_records",
    "consumer.fetch_max_wait_milliseconds",
    "consumer.group_instance_id",
    "consumer.group_record_max_bytes",
    "consumer.connect_attempts_seconds",
    "web.host",
    "web.hosts",
    "web.port",
    "web.require_token_for_reading",
    "web.admin_token",
    "logging.level",
    "logging.format",
}


def test_each_key_counts_at_once_or_is_known_to_need_a_restart() -> None:
    """Whoever adds a key decides; to count at once, something has to take it over."""
    keys = {key.name for key in all_keys().values() if key.no_effect is None}
    restart = {name for name in keys if not is_live(name) and not name.startswith("clients.")}
    assert restart == NEEDS_RESTART


def test_what_counts_at_once_is_there() -> None:
    assert [name for name in LIVE if name not in all_keys() and name not in sections()] == []


CLIENT = (
    '{{name: {name}, type: noncustodial, domains: [{name}.co], callback_urls: {{sep24: "https://{url}"}}}}'
)


def yaml(*clients: tuple[str, str], **sections: Any) -> str:
    listed = ", ".join(CLIENT.format(name=name, url=url) for name, url in clients)
    rest = "\n".join(f"{name}: {value}" for name, value in sections.items())
    return f"clients: {{items: [{listed}]}}\nevent_processor: {{callback_api_request: {{enabled: true}}}}\n{rest}"


def test_the_same_is_no_change(loading: Loading) -> None:
    env = {"SECRET_SEP10_SIGNING_SEED": SEED}
    one, other = loading.load(yaml(("w", "w")), env), loading.load(yaml(("w", "w")), env)
    changes = compare(one, other)
    assert (changes.taken, changes.needs_restart) == ((), ())
    assert changes.settings == other


def test_what_counts_and_what_waits_are_told_apart_and_no_value_is_named(loading: Loading) -> None:
    running = loading.load(
        yaml(delivery="{max_in_flight: 10}"),
        {"SECRET_WEB_ADMIN_TOKEN": "hunter2-hunter2-", "SECRET_CALLBACK_API_AUTH_SECRET": "hunter3"},
    )
    wanted = loading.load(
        yaml(delivery="{max_in_flight: 20, commit_interval_seconds: 7}", topics="{prefix: other.}"),
        {"SECRET_WEB_ADMIN_TOKEN": "hunter4-hunter4-", "SECRET_CALLBACK_API_AUTH_SECRET": "hunter5"},
    )
    changes = compare(running, wanted)
    assert changes.taken == ("SECRET_CALLBACK_API_AUTH_SECRET", "delivery.max_in_flight")
    assert changes.needs_restart == (
        "delivery.commit_interval_seconds",
        "topics.prefix",
        "SECRET_WEB_ADMIN_TOKEN",
    )
    now = changes.settings
    assert (now.delivery.max_in_flight, now.delivery.commit_interval_seconds) == (20, 0.1)
    assert now.topics == running.topics
    assert now.web == running.web
    assert now.callback_api.auth.secret == wanted.callback_api.auth.secret
    assert "hunter" not in str(changes)
    again = compare(now, wanted)
    assert (again.taken, again.needs_restart) == ((), changes.needs_restart), "it stays to be said"


@pytest.mark.parametrize(
    ("before", "after", "taken"),
    [
        ([("a", "a")], [("a", "a"), ("b", "b")], ("clients.b",)),
        ([("a", "a"), ("b", "b")], [("b", "b")], ("clients.a",)),
        ([("a", "a"), ("b", "b")], [("a", "x"), ("b", "b")], ("clients.a",)),
        ([("a", "a"), ("b", "b")], [("b", "b"), ("a", "a")], ("clients",)),
    ],
    ids=["added", "removed", "changed", "moved: the first that fits gets an event"],
)
def test_clients_are_compared_one_by_one(
    loading: Loading, before: Any, after: Any, taken: tuple[str, ...]
) -> None:
    env = {"SECRET_SEP10_SIGNING_SEED": SEED}
    changes = compare(loading.load(yaml(*before), env), loading.load(yaml(*after), env))
    assert changes.taken == taken
    assert changes.needs_restart == ()


def test_a_list_of_clients_written_elsewhere_is_no_change(loading: Loading) -> None:
    env = {"SECRET_SEP10_SIGNING_SEED": SEED}
    in_yaml = loading.load(yaml(("w", "w")), env)
    listed = '{"items": [{"name": "w", "type": "noncustodial", "domains": ["w.co"], "callback_urls": {"sep24": "https://w"}}]}'
    in_env = loading.load(yaml().replace("clients: {items: []}", ""), env | {"CLIENTS_VALUE": listed})
    assert compare(in_yaml, in_env).taken == ()
