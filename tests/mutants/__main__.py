"""``python -m tests.mutants [module …]``, or ``make mutants ARGS=…``: try the tests on mutants of the module.

A mutant is the module with one small change. The tests kill it if they fail. Verdicts are kept in .cache/mutants, so an
interrupted run goes on where it stopped: a mutant is tried again if the module was changed, or if it survived and the
tests were changed. A survivor belongs in survivors.yaml, with the reason; one that behaves like the module
(``equivalent``) is not counted. Exit codes: 0 each module has at least 95 % killed, 1 one has not, or an entry of
survivors.yaml is stale.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.mutants.modules import ROOT, TARGETS, Target
from tests.mutants.mutation import Mutant, mutants
from tests.mutants.survivors import survivors
from tests.mutants.trial import TrialError, Verdict, prepare, try_mutant

CACHE = ROOT / ".cache" / "mutants"
ENOUGH_PERCENT = 95.0


def main(arguments: list[str] | None = None) -> int:
    """Try the modules' mutants; print the score of each module and the survivors without an entry."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", choices=[*TARGETS, []], help="default: all")
    parser.add_argument("--fresh", action="store_true", help="forget the verdicts of earlier runs")
    parser.add_argument("--report", action="store_true", help="only count the verdicts of earlier runs")
    options = parser.parse_args(arguments)
    good = True
    for name in options.modules or TARGETS:
        file = CACHE / f"{name}.jsonl"
        if options.fresh:
            file.unlink(missing_ok=True)
        made = mutants(TARGETS[name].source)
        if not options.report:  # in a process of its own: what it imports is for this target
            trials = multiprocessing.get_context("fork").Process(target=_try_all, args=(name, made, file))
            trials.start()
            trials.join()
        good &= _report(name, made, Verdicts(file, TARGETS[name]))
    return 0 if good else 1


class Verdicts:
    """The verdicts on a target's mutants, one JSON object a line, which later runs read."""

    def __init__(self, file: Path, target: Target) -> None:
        self._file = file
        digest = hashlib.sha256()
        for path in target.test_files:
            digest.update(path.read_bytes())
        self._tests = digest.hexdigest()[:16]
        self._known = dict(self._read())

    def known(self, mutant: Mutant) -> Verdict | None:
        """Return the verdict; none if there is none, or if the tests were changed since it survived."""
        return self._known.get(mutant.key)

    def keep(self, mutant: Mutant, verdict: Verdict) -> None:
        """Remember a verdict, also if the run is interrupted after this."""
        self._known[mutant.key] = verdict
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"key": mutant.key, "verdict": verdict.value, "tests": self._tests}) + "\n")

    def _read(self) -> Iterator[tuple[str, Verdict]]:
        if self._file.exists():
            for line in self._file.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                verdict = Verdict(entry["verdict"])
                if verdict is not Verdict.SURVIVED or entry["tests"] == self._tests:
                    yield entry["key"], verdict


def _try_all(name: str, made: list[Mutant], file: Path) -> None:
    kept = Verdicts(file, TARGETS[name])
    waiting = [mutant for mutant in made if kept.known(mutant) is None]
    if not waiting:
        return
    try:
        seconds = prepare(TARGETS[name])
    except TrialError as error:
        sys.exit(str(error))
    began = time.monotonic()
    print(f"{name}: {len(waiting)} of {len(made)} mutants to try; the tests take {seconds:.1f} s", flush=True)
    for number, mutant in enumerate(waiting, start=1):
        kept.keep(mutant, try_mutant(TARGETS[name], mutant.source, seconds=20 + 10 * seconds))
        if number % 50 == 0:
            print(f"{name}: {number} of {len(waiting)} after {time.monotonic() - began:.0f} s", flush=True)


def _report(name: str, made: list[Mutant], kept: Verdicts) -> bool:
    """Print the score; return whether it is enough and each entry of survivors.yaml is one of these mutants."""
    listed = {entry.identity: entry for entry in survivors(name)}
    verdicts = [(mutant, kept.known(mutant)) for mutant in made]
    survived = [mutant for mutant, verdict in verdicts if verdict is Verdict.SURVIVED]
    killed = sum(verdict in (Verdict.KILLED, Verdict.HUNG) for _, verdict in verdicts)
    untried = len(made) - killed - len(survived)
    entries = {identity: listed.get(identity) for identity in map(_identity, survived)}
    equivalent = sum(
        (entry := entries[_identity(mutant)]) is not None and entry.equivalent for mutant in survived
    )
    counted = killed + len(survived) - equivalent
    percent = 100 * killed / counted if counted else 100.0
    print(
        f"{name:24} {len(made):4} mutants: {killed:4} killed, {equivalent:3} equivalent,"
        f" {len(survived) - equivalent:3} survived, {untried:4} not tried: {percent:5.1f} %",
        flush=True,
    )
    for mutant in survived:
        if entries[_identity(mutant)] is None:
            print(
                f"  survived: line {mutant.line}, {mutant.function}\n    was: {mutant.was}\n    now: {mutant.now}"
            )
    stale = [] if untried else [identity for identity in listed if identity not in entries]
    for function, was, now in stale:
        print(f"  survivors.yaml: no such survivor in {name}, {function}\n    was: {was}\n    now: {now}")
    return percent >= ENOUGH_PERCENT and not stale and not untried


def _identity(mutant: Mutant) -> tuple[str, str, str]:
    return mutant.function, mutant.was, mutant.now


if __name__ == "__main__":
    sys.exit(main())
