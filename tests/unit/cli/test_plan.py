from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventproc.cli.main import main
from eventproc.cli.plan import packaged_costs

LOAD = ("--events-per-second", "3000", "--latency-ms", "50")
OPTIONS = (
    "--events-per-second",
    "--latency-ms",
    "--destinations",
    "--business-server / --no-business-server",
    "--wallet-share",
    "--largest-wallet",
    "--event-bytes",
    "--outage-hours",
    "--replication",
    "--from",
    "--json",
)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["plan", *arguments])


def test_help_names_every_option_and_the_exit_codes() -> None:
    text = invoke("--help").output
    for part in (*OPTIONS, "0  planned", "2  wrong usage"):
        assert part in text


def test_the_text_says_what_to_write_how_and_what_gives_out() -> None:
    done = invoke(*LOAD)
    assert done.exit_code == 0
    for part in (
        "workers: ",
        "settings to write\n  delivery.max_in_flight: ",
        "how it comes about\n  routing",
        "what gives out first\n",
        "note: topics.retention_hours is empty by default",
        f"costs: {packaged_costs().benchmark.measured}",
    ):
        assert part in done.output


def test_json_has_the_same_and_the_costs_it_stands_on() -> None:
    found = json.loads(invoke(*LOAD, "--destinations", "2500", "--json").output)
    assert set(found["settings"]) == {
        "delivery.max_in_flight",
        "delivery.max_waiting",
        "topics.partitions",
        "topics.replication_factor",
    }
    assert found["workers"] >= 1
    assert found["load"]["wallets"] == 2500
    assert found["costs"]["benchmark"]["delivery_us_jwt"] == packaged_costs().benchmark.delivery_us_jwt
    assert len(found["warnings"]) > 1


def test_costs_of_another_machine_make_another_plan(tmp_path: Path) -> None:
    slow = tmp_path / "result.json"
    sink = [{"auth": auth, "cpu_us_per_delivery": 2000.0} for auth in ("jwt", "signature")]
    slow.write_text(
        json.dumps(
            {
                "date": "2026-01-01",
                "quick": True,
                "machine": {"processor": "slow", "python": "3.12"},
                "sink": sink,
                "route": [],
                "end_to_end": [],
                "backlog": [],
            }
        )
    )
    here = json.loads(invoke(*LOAD, "--json").output)
    there = json.loads(invoke(*LOAD, "--json", "--from", str(slow)).output)
    assert there["workers"] > 2 * here["workers"]
    assert "slow" in there["costs"]["benchmark"]["measured"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--events-per-second"),
        (("--events-per-second", "0", "--latency-ms", "5"), "0"),
        ((*LOAD, "--wallet-share", "1.5"), "1.5"),
        ((*LOAD, "--no-business-server", "--destinations", "0"), "Nobody receives anything"),
        ((*LOAD, "--no-business-server", "--wallet-share", "0"), "Nobody receives anything"),
        (("--events-per-second", "1e9", "--latency-ms", "5"), "divide the anchor's events"),
    ],
)
def test_what_cannot_be_planned_exits_with_the_usage_code(arguments: tuple[str, ...], message: str) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_a_file_that_is_no_result_exits_with_the_usage_code(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text("{}")
    done = invoke(*LOAD, "--from", str(file))
    assert done.exit_code == 2
    assert "no result of `python -m bench`" in done.output
