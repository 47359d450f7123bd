"""Which modules have mutants, and which tests have to kill them: the quickest that know the module, best first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Target:
    """One module of eventproc, by its path, and its tests, below ``tests/unit``."""

    path: str
    tests: tuple[str, ...]

    @property
    def module(self) -> str:
        """Name by which the module is imported."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def source(self) -> str:
        """The module's text, without a mutation."""
        return (ROOT / self.path).read_text(encoding="utf-8")

    @property
    def test_files(self) -> list[Path]:
        """Files with the tests, in the order in which they run."""
        return [ROOT / "tests/unit" / test for test in self.tests]


_SIGNING = ("auth/test_stellar_signature.py", "auth/test_business_server_auth.py", "auth/test_succession.py")

TARGETS = {
    "watermark": Target("eventproc/watermark.py", ("test_watermark.py", "delivery/test_partitions.py")),
    "lanes": Target("eventproc/lanes.py", ("test_lanes.py", "delivery/test_tried.py")),
    "breaker": Target("eventproc/breaker.py", ("test_breaker.py",)),
    "outcomes": Target("eventproc/outcomes.py", ("test_outcomes.py", "delivery/test_engine.py")),
    "ledger": Target("eventproc/delivery/ledger.py", ("delivery/test_ledger.py",)),
    "routing": Target("eventproc/routing.py", ("test_routing.py", "test_isolation_matrix.py")),
    "auth.api_key": Target("eventproc/auth/api_key.py", _SIGNING),
    "auth.jwt": Target("eventproc/auth/jwt.py", _SIGNING),
    "auth.stellar_signature": Target("eventproc/auth/stellar_signature.py", _SIGNING),
    "auth.succession": Target("eventproc/auth/succession.py", _SIGNING),
    "redrive": Target("eventproc/redrive.py", ("test_redrive.py", "cli/test_deadletter.py")),
    "replay": Target("eventproc/replay.py", ("test_replay.py", "delivery/test_replayer.py")),
    "fetch_sessions": Target(
        "eventproc/delivery/fetch_sessions.py",
        ("delivery/test_fetch_sessions.py", "delivery/test_fetch_plan.py"),
    ),
    "producer": Target("eventproc/delivery/producer.py", ("delivery/test_producer.py",)),
    "engine": Target(
        "eventproc/delivery/engine.py",
        ("delivery/test_engine.py", "delivery/test_stops.py", "delivery/test_holds.py"),
    ),
}
