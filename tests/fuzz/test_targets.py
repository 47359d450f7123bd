"""The kept corpus is replayed in every run, and each target gets some inputs by chance; `make fuzz` tries more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.__main__ import fuzz_by_chance
from tests.fuzz.inputs import CORPUS, kept, strategy
from tests.fuzz.targets import TARGETS
from tests.servers.worker import CHECKOUT

NEVER_ENDS_JSON = tuple(bytes([byte]) for byte in range(128, 256))
CASES = [(target, name, data) for target in TARGETS for name, data in kept(target).items()]


@pytest.mark.parametrize(
    ("target", "data"), [case[::2] for case in CASES], ids=[f"{one[0]}-{one[1]}" for one in CASES]
)
def test_the_corpus_finds_nothing(target: str, data: bytes) -> None:
    TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_chance_finds_nothing(target: str) -> None:
    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(strategy(target))
    def try_it(data: bytes) -> None:
        TARGETS[target](data)

    try_it()


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert all(kept(target) for target in TARGETS)


def test_a_fault_is_found_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzzer itself: a target that fails for few inputs gives one of them, also where CI is set."""

    def faulty(data: bytes) -> None:
        assert not data.endswith(NEVER_ENDS_JSON)

    monkeypatch.setitem(TARGETS, "journal", faulty)
    monkeypatch.setattr("tests.fuzz.inputs.CORPUS", tmp_path)
    (tmp_path / "journal").mkdir()
    executions, crash = fuzz_by_chance("journal", seconds=30.0)
    assert executions > 0
    assert crash is not None
    assert crash.read_bytes().endswith(NEVER_ENDS_JSON)


def test_the_command_counts_and_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--seconds", "0.5", "--engine", "hypothesis", "scrubbing"],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "scrubbing" in done.stdout
    assert "0 crashes" in done.stdout
