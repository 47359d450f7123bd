from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventproc.cli.context import CliContext
from eventproc.cli.main import main


@dataclass
class Execution:
    """Stands in for ``os.execve``: remembers what would have run."""

    command: list[str] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, path: str, command: list[str], environment: Mapping[str, str]) -> None:
        assert path == sys.executable
        self.command, self.environment = command, environment


@pytest.fixture(autouse=True)
def _apart_from_any_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(execution: Execution, *arguments: str, env: Mapping[str, str] | None = None) -> Result:
    context = CliContext(environment=env or {}, execute=execution)
    return CliRunner().invoke(main, arguments, obj=context, catch_exceptions=False)


def test_worker_becomes_fausts_worker_with_the_configured_log_level() -> None:
    execution = Execution()

    result = run(execution, "worker", env={"LOGGING_LEVEL": "debug", "PATH": "/bin"})

    assert result.exit_code == 0
    assert execution.command == [
        sys.executable,
        "-m",
        "faust",
        "-A",
        "eventproc.app",
        "worker",
        "-l",
        "debug",
    ]
    assert execution.environment == {"LOGGING_LEVEL": "debug", "PATH": "/bin"}


def test_worker_passes_on_arguments_that_it_does_not_know() -> None:
    execution = Execution()

    run(execution, "worker", "-l", "error", "--without-web", "--web-port", "1")

    assert execution.command[-5:] == ["-l", "error", "--without-web", "--web-port", "1"]


def test_worker_hands_the_configuration_file_on_as_an_absolute_path(tmp_path: Path) -> None:
    (tmp_path / "anchor.yaml").touch()
    execution = Execution()

    run(execution, "--config", "anchor.yaml", "worker", env={"EVENTPROC_CONFIG": "other.yaml"})

    assert execution.environment["EVENTPROC_CONFIG"] == str(tmp_path / "anchor.yaml")


def test_worker_with_a_wrong_configuration_starts_nothing_and_exits_with_2() -> None:
    execution = Execution()

    result = run(execution, "worker", env={"EVENTS_ENABLED": "x"})

    assert result.exit_code == 2
    assert "events.enabled (environment EVENTS_ENABLED)" in result.stderr
    assert execution.command == []


def test_the_command_line_does_not_import_the_application() -> None:
    code = (
        "import sys, eventproc.cli.main; print([m for m in ('eventproc.app', 'faust') if m in sys.modules])"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert result.stdout.strip() == "[]"
