"""The operator's consent, which every command that writes needs: an answer at the terminal, or ``--yes``.

A command that writes is a ``WritingCommand``, and calls ``require_consent`` when it has shown what it would
do. Nothing that is read from a pipe counts as an answer: ``echo n |`` and an empty input alike end the
command.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from eventproc.cli.context import ExitCode, fail


class WritingCommand(click.Command):
    """A command that writes to Kafka or sends to a receiver; it has ``--yes``, which its callback gets."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        help_ = "Do not ask. Required where standard input is not a terminal."
        place = next((n for n, one in enumerate(self.params) if one.name == "as_json"), len(self.params))
        self.params.insert(place, click.Option(["--yes"], is_flag=True, help=help_))


def stdin_is_terminal() -> bool:
    """Whether there is an operator to ask."""
    return sys.stdin.isatty()


def require_consent(question: str, *, yes: bool, is_terminal: Callable[[], bool] = stdin_is_terminal) -> None:
    """Return when the operator agrees; end the command, which has done nothing yet, when not."""
    if yes:
        return
    if not is_terminal():
        fail(
            f"{question} There is no terminal to ask at, so nothing was done. Give --yes.",
            ExitCode.CHECK_FAILED,
        )
    click.confirm(question, abort=True, err=True)
