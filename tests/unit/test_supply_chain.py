"""What we build with is pinned and hashed, and the audit tells "nothing found" from "nobody asked"."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECKOUT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
MAKEFILE = (CHECKOUT / "Makefile").read_text("utf-8")
LOCKS = sorted(re.findall(r"--output-file (\S+\.lock)", MAKEFILE))
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def packages(lock: str) -> list[tuple[Requirement, int]]:
    """Each requirement of a lock file, and how many hashes it has."""
    text = re.sub(r"\\\n\s*", "", (CHECKOUT / lock).read_text("utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [(Requirement(line.partition("--hash")[0]), len(_HASH.findall(line))) for line in lines]


def test_every_lock_file_is_made_by_make_lock() -> None:
    ours = {
        str(path.relative_to(CHECKOUT))
        for folder in (".", "deploy", "supply-chain", "tests/mutants", "tests/receivers")
        for path in (CHECKOUT / folder).glob("*.lock")
    }
    assert ours == set(LOCKS)
    assert len(LOCKS) == 6


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_and_has_hashes(lock: str) -> None:
    found = packages(lock)
    assert len(found) > 1
    assert [str(one) for one, _ in found if not re.fullmatch(r"==[^*]+", str(one.specifier))] == []
    assert [str(one) for one, hashes in found if hashes == 0] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_file_names_a_place_to_download_from(lock: str) -> None:
    text = (CHECKOUT / lock).read_text("utf-8")
    assert re.findall(r"https?://|--(?:extra-)?index-url|--find-links| @ ", text) == []


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("requirements.lock", ["dev", "otel"]), ("requirements-image.lock", ["otel"])],
)
def test_the_lock_has_what_the_project_asks_for_in_a_version_it_takes(lock: str, extras: list[str]) -> None:
    asked = [Requirement(text) for text in PROJECT["dependencies"]]
    asked += [Requirement(text) for extra in extras for text in PROJECT["optional-dependencies"][extra]]
    versions: dict[str, list[str]] = {}
    for one, _ in packages(lock):
        versions.setdefault(canonicalize_name(one.name), []).append(str(one.specifier).removeprefix("=="))
    for one in asked:
        locked = versions.get(canonicalize_name(one.name), [])
        assert locked, f"{one.name} is not in {lock}: make lock"
        assert all(one.specifier.contains(version) for version in locked), f"{one}: {locked}: make lock"


Audit = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """`supply-chain/run.sh audit` with a script in pip-audit's place, whose report goes to $report."""
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    (tmp_path / "venv" / ".installed").touch()

    def run(script: str) -> subprocess.CompletedProcess[str]:
        tool = programs / "pip-audit"
        find = 'while [ "$1" != --output ]; do shift; done; report=$2\n'
        tool.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/arguments\n{find}{script}\n')
        tool.chmod(0o755)
        return subprocess.run(
            [CHECKOUT / "supply-chain" / "run.sh", "audit"],
            env={"PATH": os.environ["PATH"], "TOOLS": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


def test_an_audit_that_finds_nothing_passes(audit: Audit, tmp_path: Path) -> None:
    done = audit(": >$report")

    assert done.returncode == 0, done.stderr
    assert "knows no vulnerability" in done.stdout
    arguments = (tmp_path / "arguments").read_text()
    assert "--requirement requirements.lock --require-hashes --disable-pip" in arguments


def test_an_audit_that_finds_something_fails_and_shows_it(audit: Audit) -> None:
    done = audit("echo 'aiohttp 3.14.5 GHSA-1 3.14.6' >$report; exit 1")

    assert done.returncode == 1
    assert "GHSA-1" in done.stderr
    assert "make lock" in done.stderr


def test_an_audit_that_reaches_nobody_says_that_nothing_was_audited_and_passes(audit: Audit) -> None:
    done = audit("echo 'requests.exceptions.ConnectionError: no route' >&2; exit 1")

    assert done.returncode == 0
    assert "NOTHING WAS AUDITED" in done.stdout
    assert "no vulnerability" not in done.stdout


def test_an_audit_that_breaks_fails(audit: Audit) -> None:
    done = audit("echo 'ERROR: requirements.lock: no hash' >&2; exit 1")

    assert done.returncode == 1
    assert "no hash" in done.stderr


def test_ci_audits_and_makes_the_bill_of_materials() -> None:
    lines = (CHECKOUT / ".ci/run").read_text("utf-8").splitlines()
    assert {"  make audit", "  make sbom"} <= set(lines)
