"""The worker's event loop, asked in a process of its own, as Faust makes it: a choice of loop is for all of a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.anchor_env import TEST_SEED
from tests.servers.worker import CHECKOUT

CODE = """
import sys
from faust.cli.base import find_app
from mode.utils.loops import get_event_loop
find_app("eventproc.app")
print(type(get_event_loop()).__module__)
"""


@pytest.mark.parametrize(
    ("arguments", "env", "module"),
    [
        ([], {}, "uvloop"),
        ([], {"FAUST_LOOP": "uvloop"}, "uvloop"),
        (["-L", "uvloop"], {}, "uvloop"),
        ([], {"FAUST_LOOP": "aio"}, "asyncio.unix_events"),
        ([], {"F_LOOP": "aio"}, "asyncio.unix_events"),
        (["-L", "aio"], {}, "asyncio.unix_events"),
    ],
)
def test_a_worker_runs_on_uvloop_unless_another_loop_is_chosen(
    tmp_path: Path, arguments: list[str], env: dict[str, str], module: str
) -> None:
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "SECRET_SEP10_SIGNING_SEED": TEST_SEED}

    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        cwd=tmp_path,
        env=base | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout.splitlines()[-1:] == [module], done.stderr
