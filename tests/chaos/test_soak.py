"""The long run in small: one restart, one fault, ended early; it drains, judges and keeps all the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.soak.churn import FaultStep, Schedule, WorkerStep
from bench.soak.receivers import BUSINESS, Fault
from bench.soak.results import RESULT, SAMPLE
from bench.soak.run import Options, Soak
from bench.soak.verdicts import judge
from tests.chaos.scene import QUICK
from tests.servers.anchor_env import Names
from tests.servers.kafka import ApacheKafka

pytestmark = [pytest.mark.chaos, pytest.mark.kafka, pytest.mark.timeout(300)]

OPTIONS = Options(
    load_seconds=3_600.0,
    events_per_second=40.0,
    clients=3,
    sample_seconds=0.5,
    rest_seconds=0.5,
    uvloop=False,
    settings=QUICK,
    steps=Schedule(
        workers=(WorkerStep(at=2.0, worker=1),),
        faults=(FaultStep(at=3.0, receiver=BUSINESS, fault=Fault.FAILS, seconds=2.0),),
    ),
)


async def test_a_run_ended_early_loses_nothing_and_tells_what_each_worker_held(
    apache_kafka: ApacheKafka, names: Names, tmp_path: Path
) -> None:
    stop = asyncio.Event()
    told: list[str] = []

    def tell(what: str) -> None:
        told.append(what)
        if all(any(f"{done} of" in one for one in told) for done in ("restart", "fails")):
            stop.set()

    result = await Soak(apache_kafka, names, OPTIONS, tmp_path / "run", tell).run(stop)
    print(f"\n{result.tally.line('soak')}")
    assert result.ended_early
    assert result.load_seconds < 120
    assert result.tally.sent == result.tally.received > 100
    # So short a run says nothing about growth: workers warm up, and their connections are still open.
    missed = [verdict for verdict in judge(result) if not verdict.is_met]
    assert [one for one in missed if "the median grew" not in one.what and "at rest" not in one.what] == []
    assert {mark.what for mark in result.marks} == {"restart", "fails"}
    long_lived, restarted = (
        [held for sample in result.samples if (held := sample.workers[worker])] for worker in (0, 1)
    )
    assert (len({held.pid for held in long_lived}), len({held.pid for held in restarted})) == (1, 2)
    assert min(held.descriptors for held in long_lived) > 10
    assert max(sample.waiting for sample in result.samples) > 40, "the fault held events up"
    kept = (tmp_path / "run" / "samples.jsonl").read_text("utf-8").splitlines()
    assert SAMPLE.validate_json(kept[0]) == result.samples[0]
    assert len(kept) == len(result.samples) + len(result.marks)
    assert RESULT.validate_json(RESULT.dump_json(result)) == result
