"""What the servers need: packages below ``.cache/receivers``, made once, and the snippets of docs/receiving.md."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
APPS = HERE / "apps"
CACHE = CHECKOUT / ".cache" / "receivers"
_SECONDS = 300


def program(name: str) -> str:
    """The path of a program; where it is missing the test skips, in CI it fails."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not on the PATH, and CI must not skip this", pytrace=False)
        pytest.skip(f"{name} is not on the PATH")
    return found


def python_environment() -> Path:
    """The directory of programs of a virtual environment with ``requirements.lock``."""
    lock, home = HERE / "requirements.lock", CACHE / "python"
    if not _is_made_from(home, lock):
        _run([sys.executable, "-m", "venv", "--clear", str(home)], CACHE)
        pip = [
            str(home / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "-r",
            str(lock),
        ]
        _run(pip, CACHE)
        _mark(home, lock)
    return home / "bin"


def node_modules() -> Path:
    """The directory ``node_modules`` of ``package-lock.json``."""
    lock, home = HERE / "package-lock.json", CACHE / "node"
    if not _is_made_from(home, lock):
        home.mkdir(parents=True, exist_ok=True)
        for file in (lock, HERE / "package.json"):
            shutil.copy(file, home)
        _run([program("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"], home)
        _mark(home, lock)
    return home / "node_modules"


def go_receiver() -> Path:
    """The receiver in Go, built with the snippet."""
    home, source = CACHE / "go", APPS / "receiver.go"
    text = f"{source.read_text('utf-8')}{snippet('go', 'IsFromAnchor')}"
    built, stamp = home / "receiver", home / "built-from"
    if not stamp.exists() or stamp.read_text("utf-8") != text:
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, home / "main.go")
        (home / "verify.go").write_text(snippet("go", "IsFromAnchor"), "utf-8")
        (home / "go.mod").write_text("module receiver\n\ngo 1.21\n")
        _run([program("go"), "build", "-o", "receiver", "."], home)
        stamp.write_text(text, "utf-8")
    return built


def snippet(language: str, mark: str) -> str:
    """The block of code in docs/receiving.md that has ``mark``."""
    text = (CHECKOUT / "docs" / "receiving.md").read_text("utf-8")
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (found,) = [code for code in blocks if mark in code]
    return found


def _is_made_from(home: Path, lock: Path) -> bool:
    stamp = home / ".made-from"
    return stamp.exists() and stamp.read_bytes() == lock.read_bytes()


def _mark(home: Path, lock: Path) -> None:
    shutil.copy(lock, home / ".made-from")


def _run(command: list[str], directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
