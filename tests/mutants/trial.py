"""One mutant on trial: a forked process imports the mutated text in the module's place, and runs its tests.

The parent has imported pytest, the libraries and what of the project does not import the module, so that a trial takes
0.3 s of a processor and not the 2.2 s that Python and the imports need: that is why cosmic-ray's own executor, which starts
Python for each mutant, is not used. No file is changed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Sequence
from enum import Enum
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest

from tests.mutants.modules import ROOT, Target

LIBRARIES = ("aiohttp", "aiokafka", "cryptography", "faust", "jwt", "orjson", "prometheus_client", "pydantic")

_fork = multiprocessing.get_context("fork")


class Verdict(Enum):
    """How a trial ended; a mutant on which the tests hang is killed, because a run of the tests would not pass."""

    KILLED = "killed"
    HUNG = "hung"
    SURVIVED = "survived"


class TrialError(Exception):
    """The tests did not run, or they fail without a mutation."""


def prepare(target: Target) -> float:
    """Import what each trial needs, except the module and its importers; return the seconds of a trial after that.

    For one target in the life of a process.

    Raises:
        TrialError: The tests fail without a mutation.
    """
    for library in LIBRARIES:
        importlib.import_module(library)
    ours, theirs = _fork.Pipe(duplex=False)
    _check(target, _trial(target, target.source, 600, theirs))
    sys.meta_path.insert(0, MutantFinder(target.module, "raise ImportError"))
    for module in ours.recv():
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    del sys.meta_path[0]
    gc.freeze()
    began = time.monotonic()
    _check(target, try_mutant(target, target.source, seconds=600))
    return time.monotonic() - began


def try_mutant(target: Target, source: str, *, seconds: float) -> Verdict:
    """Run the target's tests with ``source`` in the place of its module, for so many seconds at most."""
    return _trial(target, source, seconds, None)


def _check(target: Target, verdict: Verdict) -> None:
    if verdict is not Verdict.SURVIVED:
        tests = " ".join(str(path.relative_to(ROOT)) for path in target.test_files)
        raise TrialError(f"{target.module}: its tests fail without a mutation: pytest {tests}")


def _trial(target: Target, source: str, seconds: float, imported: Connection | None) -> Verdict:
    process = _fork.Process(target=_run_tests, args=(target.module, source, target.test_files, imported))
    process.start()
    try:
        process.join(seconds)
    finally:
        hung = process.exitcode is None
        if hung:
            _kill_group(process.pid)
            process.join()
    if hung:
        return Verdict.HUNG
    code = process.exitcode
    process.close()
    return (
        Verdict.SURVIVED if code == pytest.ExitCode.OK else Verdict.KILLED
    )  # also if conftest.py cannot import it


def _kill_group(pid: int | None) -> None:
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _run_tests(module: str, source: str, test_files: Sequence[Path], imported: Connection | None) -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    sys.meta_path.insert(0, MutantFinder(module, source))
    # The same examples in each trial, a quarter of the tests' own number, and no search for the smallest that fails.
    hypothesis.settings.register_profile(
        "mutants",
        deadline=None,
        derandomize=True,
        database=None,
        max_examples=25,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    options = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", "--hypothesis-profile=mutants"]
    rewriting = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of plugins that the parent has imported
    code = int(pytest.main([*options, *rewriting, *map(str, test_files)]))
    if imported is not None:
        packages = ("eventproc", "settings", "agents", "tests")
        modules = [name for name in sys.modules if name.partition(".")[0] in packages]
        imported.send(
            [name for name in modules if not name.rpartition(".")[2].startswith(("test_", "conftest"))]
        )
    os._exit(code)


class MutantFinder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds one module, whose text it has."""

    def __init__(self, module: str, source: str) -> None:
        self._module = module
        self._source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._module:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def get_source(self, fullname: str) -> str:
        return self._source
