"""Taking over from the Anchor Platform's consumer groups, with a worker that begins where they stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conftest import StartWorker
from tests.fakes.records import event_value
from tests.servers.anchor_env import Names, anchor_env, noncustodial_client
from tests.servers.command import eventproc
from tests.servers.kafka import Broker
from tests.servers.kafka_client import Record, commit_without_metadata
from tests.servers.receiver import Receiver


def event(number: int) -> Record:
    return Record(event_value(f"e{number}", f"t{number}", client_name="acme"), key=f"e{number}".encode())


async def import_(directory: Path, env: dict[str, str], *arguments: str, code: int = 0) -> Any:
    done = await eventproc(directory, env, "offsets", "import", "--yes", "--json", *arguments, code=code)
    return json.loads(done.stdout)


async def test_a_worker_begins_where_the_platform_s_processors_stopped(  # noqa: PLR0917 - fixtures
    broker: Broker,
    names: Names,
    start_worker: StartWorker,
    business_server: Receiver,
    wallet_server: Receiver,
    tmp_path: Path,
) -> None:
    domain = f"{names.consumer_group}.example.com"  # the platform's groups are named by it, and tests share a broker
    clients = [noncustodial_client("acme", wallet_server.url, domains=[domain], seps=["sep24"])]
    env = anchor_env(broker.bootstrap, business_url=business_server.url, clients=clients, names=names)
    await broker.create_topics({names.source: 1})
    await broker.publish(names.source, [event(number) for number in range(6)])

    missing = await eventproc(tmp_path, env, "offsets", "import", code=1)
    assert "No group of the Anchor Platform for the business server" in missing.stderr
    await commit_without_metadata(broker.bootstrap, "group-callback-api", names.source, 4)
    await commit_without_metadata(broker.bootstrap, f"group-client-status-callback-{domain}", names.source, 3)

    shown = await import_(tmp_path, env, "--dry-run")
    assert (shown["starts"], shown["set"]) == ({"0": 3}, False)
    assert await broker.committed(names.consumer_group, names.source) == {}
    done = await import_(tmp_path, env)
    assert done["set"] is True
    assert [(one["group"], one["comes_twice"]) for one in done["from"]] == [
        ("group-callback-api", 1),
        (f"group-client-status-callback-{domain}", 0),
    ]
    assert (await broker.committed(names.consumer_group, names.source))[0].offset == 3
    again = await import_(tmp_path, env, code=1)
    assert "--overwrite" in again["refusal"]

    named = await import_(tmp_path, env, "--overwrite", "--from-group", "group-callback-api")
    assert (named["starts"], named["was"]) == ({"0": 4}, {"0": 3})
    unknown = await eventproc(tmp_path, env, "offsets", "import", "--from-group", "group-nobody", code=1)
    assert "group-callback-api" in unknown.stderr
    await import_(tmp_path, env, "--overwrite")

    await start_worker(env)
    await wallet_server.wait_until(lambda: len(set(wallet_server.event_ids())) == 3, 60)
    await business_server.wait_until(lambda: len(set(business_server.event_ids())) == 3, 60)
    assert set(wallet_server.event_ids()) == set(business_server.event_ids()) == {"e3", "e4", "e5"}
    running = await import_(tmp_path, env, "--overwrite", code=1)
    assert "stop all of them" in running["refusal"]
