from __future__ import annotations

from click.testing import CliRunner

from eventproc.cli.main import main


def test_help_lists_the_commands_and_the_exit_codes() -> None:
    result = CliRunner().invoke(main, ["--help"])

    assert result.exit_code == 0
    for line in (
        "config",
        "doctor",
        "listen",
        "plan",
        "send-example",
        "verify",
        "worker",
        "0  ok",
        "1  a check failed",
        "2  wrong configuration or usage",
    ):
        assert f"  {line}" in result.output
    assert "3  broker unavailable" in result.output


def test_an_unknown_command_exits_with_the_usage_code() -> None:
    assert CliRunner().invoke(main, ["wroker"]).exit_code == 2
