"""The real command line in a process of its own, as an operator or a script calls it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner, Result

from eventproc.cli.context import CliContext
from eventproc.cli.main import main
from tests.servers.worker import CHECKOUT

_SECONDS = 60.0


def command(*arguments: str) -> list[str]:
    """The program and its arguments."""
    return [str(Path(sys.executable).with_name("eventproc")), *arguments]


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """Exactly this, and what a process needs to run at all."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), **env}


async def eventproc(
    directory: Path, env: Mapping[str, str], *arguments: str, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """``eventproc …`` with exactly the environment given; it has to end with this exit code."""
    done = await asyncio.to_thread(
        subprocess.run,
        command(*arguments),
        cwd=directory,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


async def invoke(env: Mapping[str, str], *arguments: str) -> Result:
    """``eventproc …`` within this process, in a thread: the command has an event loop of its own."""
    context = CliContext(environment=env)
    return await asyncio.to_thread(CliRunner().invoke, main, arguments, obj=context, catch_exceptions=False)
