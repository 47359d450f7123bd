"""``python -m tests.fuzz [target …]``, or ``make fuzz ARGS=…``: fuzz for a while, and count.

With atheris (the extra ``fuzz``: where it has a wheel, which is Linux) coverage guides it; without, hypothesis draws
from each target's grammar. An input that crashes a target is kept in its corpus, and fails the ordinary tests until
it is mended. Exit codes: 0 nothing found, 1 a crash.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz.inputs import keep, kept, strategy
from tests.fuzz.targets import MAX_BYTES, TARGETS

_BATCH = 100


def main(arguments: list[str] | None = None) -> int:
    """Fuzz each target for its share of time; prints a line for each."""
    has_atheris = importlib.util.find_spec("atheris") is not None
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], help="default: all")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each target and engine (20)")
    parser.add_argument("--engine", choices=["atheris", "hypothesis", "both"], default=None)
    parser.add_argument("--keep", action="store_true", help="keep inputs that reached new code (atheris)")
    options = parser.parse_args(arguments)
    engine = options.engine or ("both" if has_atheris else "hypothesis")
    total, crashes = 0, 0
    for target in options.targets or TARGETS:
        for name in ("atheris", "hypothesis") if engine == "both" else (engine,):
            began = time.monotonic()
            if name == "atheris":
                executions, crash = fuzz_by_coverage(target, options.seconds, keep_new=options.keep)
            else:
                executions, crash = fuzz_by_chance(target, options.seconds)
            seconds = time.monotonic() - began
            found = "nothing" if crash is None else f"A CRASH: {crash}"
            print(f"{target:18} {name:10} {executions:9} executions in {seconds:5.0f} s: {found}", flush=True)
            total, crashes = total + executions, crashes + (crash is not None)
    print(f"{total} executions, {crashes} crashes")
    return 1 if crashes else 0


def fuzz_by_chance(target: str, seconds: float) -> tuple[int, Path | None]:
    """By hypothesis: how many inputs were tried, and the smallest that crashes, kept, if any does."""
    executions = 0
    deadline = time.monotonic() + seconds
    last = b""

    @settings(
        max_examples=_BATCH,
        deadline=None,
        database=None,
        derandomize=False,  # hypothesis does by itself where CI is set: each batch would be the first one again
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(strategy(target))
    def try_it(data: bytes) -> None:
        nonlocal executions, last
        executions += 1
        last = data
        TARGETS[target](data)

    while time.monotonic() < deadline:
        try:
            try_it()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
            print(f"{target}: {type(error).__name__}: {error}"[:500], file=sys.stderr)
            return executions, keep(target, last, "crash")  # the last one tried is the smallest
    return executions, None


def fuzz_by_coverage(target: str, seconds: float, *, keep_new: bool) -> tuple[int, Path | None]:
    """By atheris, in a process of its own, as libFuzzer ends the process: as ``fuzz_by_chance``."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as directory:
        found, seeds, artifacts = (Path(directory) / name for name in ("found", "seeds", "artifacts"))
        for path in (found, seeds, artifacts):
            path.mkdir()
        for number, data in enumerate(kept(target).values()):
            (seeds / f"{number}").write_bytes(data)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.by_coverage", target, str(found), str(seeds)),
                *(f"-max_total_time={max(1, round(seconds))}", f"-artifact_prefix={artifacts}/"),
                *(f"-max_len={MAX_BYTES // 16}", "-timeout=20", "-rss_limit_mb=4096", "-print_final_stats=1"),
            ],
            capture_output=True,
            timeout=seconds + 300,
            check=False,
        )
        log = done.stderr.decode("utf-8", "replace") + done.stdout.decode("utf-8", "replace")
        counted = re.findall(r"number_of_executed_units: (\d+)", log) or re.findall(
            r"^#(\d+)", log, re.MULTILINE
        )
        crash = next(iter(sorted(artifacts.iterdir())), None)
        if crash is None and done.returncode != 0:
            raise RuntimeError(f"atheris ended with {done.returncode}\n{log[-2000:]}")
        if crash is not None:
            print(log[-3000:], file=sys.stderr)
            return int(counted[-1]) if counted else 0, keep(target, crash.read_bytes(), "crash")
        if keep_new:
            _keep_what_adds(target, found, seeds, Path(directory))
    return int(counted[-1]) if counted else 0, None


def _keep_what_adds(target: str, found: Path, seeds: Path, directory: Path) -> None:
    """The smallest set of new inputs that reaches what they reach together, beyond the corpus."""
    merged = directory / "merged"
    shutil.copytree(seeds, merged)
    command = [sys.executable, "-m", "tests.fuzz.by_coverage", target, "-merge=1", str(merged), str(found)]
    subprocess.run(command, capture_output=True, timeout=600, check=True)
    old = {path.name for path in seeds.iterdir()}
    for path in merged.iterdir():
        if path.name not in old:
            keep(target, path.read_bytes(), "new")


if __name__ == "__main__":
    sys.exit(main())
