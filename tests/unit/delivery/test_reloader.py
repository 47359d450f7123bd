"""When a configuration is looked at, what is taken over, and what becomes of one that is wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog

from agents.live import build_configuration
from eventproc.delivery import reloader
from eventproc.delivery.reloader import Reloader, Retired
from eventproc.errors import BrokerUnavailableError
from eventproc.reload_plan import Configuration, ReloadPlan
from settings import load_settings
from tests.fakes.sender import FakeSender
from tests.servers.anchor_env import anchor_env, noncustodial_client
from tests.servers.certificates import Authority

BUSINESS = "callback-api"


@dataclass
class World:
    """The files of a worker, and what was put in force."""

    folder: Path
    applied: list[tuple[Configuration, ReloadPlan]] = field(default_factory=list)
    retire: list[Retired] = field(default_factory=list)
    failure: Exception | None = None
    meanwhile: Callable[[], Awaitable[None]] | None = None
    extra: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.write("key", "hunter2-the-first-key-of-32-bytes-or-more")
        self.clients()
        self.write("anchor.yaml", "reload: {interval_seconds: 0.02}")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def clients(self, *names: str) -> None:
        items = [noncustodial_client(name, f"https://{name}.co", domains=[f"{name}.co"]) for name in names]
        self.write("clients.json", json.dumps({"items": items}))

    def load(self) -> Any:
        env = anchor_env("localhost:1", business_url="https://b.example") | {
            "CLIENTS_TYPE": "file",
            "CLIENTS_VALUE": str(self.folder / "clients.json"),
            "SECRET_CALLBACK_API_AUTH_SECRET_FILE": str(self.folder / "key"),
        }
        env.pop("SECRET_CALLBACK_API_AUTH_SECRET")
        return load_settings(self.folder / "anchor.yaml", env | self.extra, self.folder / ".env")

    async def apply(self, new: Configuration, plan: ReloadPlan) -> list[Retired]:
        if self.failure is not None:
            raise self.failure
        if self.meanwhile is not None:
            await self.meanwhile()
        self.applied.append((new, plan))
        return self.retire

    def reloader(self) -> Reloader:
        self.write(".env", "")
        return Reloader(build_configuration(self.load()), self.load, build_configuration, self.apply)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(reloader, "SETTLE_SECONDS", 0.01)
    return World(tmp_path)


async def until(holds: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 30
    while not holds():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)


def names(logs: list[Any]) -> list[str]:
    return [line["event"] for line in logs if line["event"].startswith("reload.")]


async def test_the_same_configuration_changes_nothing(world: World) -> None:
    one = world.reloader()
    with structlog.testing.capture_logs() as logs:
        await one.reload()
    assert names(logs) == ["reload.unchanged"]
    assert (world.applied, one.generation, one.is_failed) == ([], 1, False)


async def test_a_changed_secret_is_taken_over_and_shown_nowhere(world: World) -> None:
    one = world.reloader()
    world.write("key", "hunter3-the-second-key-of-32-bytes-or-more")
    with structlog.testing.capture_logs() as logs:
        await one.reload()
    ((new, plan),) = world.applied
    assert plan == ReloadPlan(changed=(BUSINESS,))  # type: ignore[arg-type]
    secret = new.settings.callback_api.auth.secret
    assert secret is not None
    assert secret.get_secret_value().startswith("hunter3")
    assert (one.generation, one.is_failed) == (2, False)
    assert names(logs) == ["reload.applied"]
    assert logs[0]["keys"] == ["SECRET_CALLBACK_API_AUTH_SECRET"]
    assert "hunter" not in str(logs)


async def test_a_configuration_with_mistakes_changes_nothing_and_every_mistake_is_told(world: World) -> None:
    one = world.reloader()
    world.write("anchor.yaml", "delivery: {max_in_flight: hunter9, order: sideways}")
    world.write("key", "")
    with structlog.testing.capture_logs() as logs:
        await one.reload()
    (refused,) = logs
    assert (refused["event"], refused["log_level"]) == ("reload.refused", "error")
    told = "\n".join(refused["problems"])
    for key in ("delivery.max_in_flight", "delivery.order", "SECRET_CALLBACK_API_AUTH_SECRET_FILE"):
        assert key in told
    assert "hunter2" not in told
    assert (world.applied, one.generation, one.is_failed) == ([], 1, True)

    world.write("anchor.yaml", "delivery: {max_in_flight: 9}")
    world.write("key", "hunter3-the-second-key-of-32-bytes-or-more")
    await one.reload()
    assert (len(world.applied), one.generation, one.is_failed) == (1, 2, False)


async def test_what_can_only_be_seen_when_it_is_put_together_is_refused_too(world: World) -> None:
    one = world.reloader()
    world.write("key", "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----")
    with structlog.testing.capture_logs() as logs:
        await one.reload()
    assert names(logs) == ["reload.refused"]
    assert "PEM or SSH key" in logs[-1]["problems"][0]


async def test_clients_whose_topics_kafka_takes_for_one_are_refused_by_name(world: World) -> None:
    one = world.reloader()
    world.clients("pay.co", "pay_co")
    with structlog.testing.capture_logs() as logs:
        await one.reload()
    assert names(logs) == ["reload.refused"]
    told = "\n".join(logs[0]["problems"])
    assert "pay.co" in told
    assert "pay_co" in told
    assert (world.applied, one.generation, one.is_failed) == ([], 1, True)


async def test_certificates_are_read_before_they_count(world: World, tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    world.write("ca.pem", authority.path.read_text("utf-8"))
    world.extra["CALLBACK_API_CA_CERTIFICATE_PATH"] = str(tmp_path / "ca.pem")
    one = world.reloader()
    world.write("ca.pem", "no certificate")
    with structlog.testing.capture_logs() as logs:
        await one.reload()
    assert names(logs) == ["reload.refused"]
    assert "callback-api: its certificates cannot be used" in logs[0]["problems"][0]
    other = tmp_path / "other"
    other.mkdir()
    world.write("ca.pem", Authority.make(other).path.read_text("utf-8"))
    await one.reload()
    ((_, plan),) = world.applied
    assert plan.changed == (BUSINESS,)


async def test_what_needs_a_restart_is_named_and_the_rest_is_taken(world: World) -> None:
    one = world.reloader()
    world.write("anchor.yaml", "timeline: {partitions: 3}\ndelivery: {max_in_flight: 9}")
    with structlog.testing.capture_logs() as logs:
        await one.reload()
    assert names(logs) == ["reload.needs_restart", "reload.applied"]
    assert logs[0]["keys"] == ["timeline.partitions"]
    ((new, _),) = world.applied
    assert new.settings.delivery.max_in_flight == 9
    assert new.settings.timeline.partitions == 8, "as it runs"


async def test_a_file_that_changes_is_seen_without_a_signal(world: World) -> None:
    one = world.reloader()
    await one.start()
    world.clients("w")
    await until(lambda: one.generation == 2)
    world.write(".env", "DELIVERY_MAX_IN_FLIGHT=7")
    await until(lambda: one.generation == 3)
    assert world.applied[-1][0].settings.delivery.max_in_flight == 7
    await one.stop()


async def test_a_file_that_is_only_touched_is_no_change(world: World) -> None:
    one = world.reloader()
    with structlog.testing.capture_logs() as logs:
        await one.start()
        (world.folder / "key").touch()
        world.write("anchor.yaml", "reload: {interval_seconds: 0.02}")
        await asyncio.sleep(0.2)
        await one.stop()
    assert names(logs) == []


async def test_half_a_file_is_not_taken_for_a_whole_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut in the middle, a list of clients can be valid and short."""
    monkeypatch.setattr(reloader, "SETTLE_SECONDS", 1.0)
    names = [f"w{number}" for number in range(9)]
    world.clients(*names[:-1])
    one = world.reloader()
    await one.start()
    for count in range(len(names)):
        world.clients(*names[: count + 1])
        await asyncio.sleep(0.02)
    await until(lambda: one.generation == 2)
    await one.stop()
    ((_, plan),) = world.applied
    assert plan.removed == ()


async def test_a_file_that_a_wrong_configuration_names_is_watched(world: World) -> None:
    one = world.reloader()
    await one.start()
    world.extra["SECRET_WEB_ADMIN_TOKEN_FILE"] = str(world.folder / "token")
    one.ask()
    await until(lambda: one.is_failed)
    world.clients("w")
    world.write("token", "a-token-of-some-length")
    await until(lambda: one.generation == 2)
    await one.stop()


async def test_nothing_is_watched_when_that_is_off_but_a_signal_is_heard(world: World) -> None:
    world.write("anchor.yaml", "reload: {interval_seconds: 0.02, watch_files: false}")
    one = world.reloader()
    await one.start()
    world.clients("w")
    await asyncio.sleep(0.2)
    assert one.generation == 1
    one.ask()
    await until(lambda: one.generation == 2)
    await one.stop()


async def test_many_signals_in_a_row_are_one_reload_and_one_in_its_course_is_another(world: World) -> None:
    one = world.reloader()

    async def asked_again() -> None:
        if not world.applied:
            world.clients("w", "x")
            one.ask()

    world.meanwhile = asked_again
    await one.start()
    world.write("anchor.yaml", "reload: {interval_seconds: 0.02, watch_files: false}")
    for _ in range(5):
        world.clients("w")
        one.ask()
    await until(lambda: one.generation == 3)
    await one.stop()
    assert [len(plan.added) for _, plan in world.applied] == [4, 4]


async def test_kafka_that_is_away_is_asked_again_until_it_makes_the_topics(world: World) -> None:
    one = world.reloader()
    world.failure = BrokerUnavailableError("Kafka is away")
    with structlog.testing.capture_logs() as logs:
        await one.start()
        world.clients("w")
        await until(lambda: one.is_failed)
        await asyncio.sleep(0.1)
        assert one.generation == 1
        world.failure = None
        await until(lambda: one.generation == 2)
        await one.stop()
    assert names(logs) == ["reload.failed", "reload.applied"], "told once"
    assert not one.is_failed


async def test_a_fault_of_ours_ends_no_deliveries(world: World) -> None:
    one = world.reloader()
    world.failure = ZeroDivisionError()
    with structlog.testing.capture_logs() as logs:
        await one.start()
        world.clients("w")
        await until(lambda: one.is_failed)
        assert one.started
        assert not one.crashed
        world.failure = None
        one.ask()
        await until(lambda: one.generation == 2)
        await one.stop()
    assert names(logs) == ["reload.crashed", "reload.applied"]


async def test_an_old_sender_is_closed_when_its_last_request_has_ended(world: World) -> None:
    one = world.reloader()
    sender, lasting = FakeSender(), FakeSender()
    world.retire = [Retired(sender, 0.05), Retired(lasting, 600)]
    await one.start()
    world.clients("w")
    await until(lambda: one.generation == 2)
    await until(lambda: sender.closed)
    assert not lasting.closed
    await one.stop()
    assert lasting.closed
