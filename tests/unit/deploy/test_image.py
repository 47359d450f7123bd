"""Dockerfile, its lock and its context; and the systemd unit: what hadolint and systemd-analyze cannot know."""

from __future__ import annotations

import json
import re
from pathlib import Path

from settings import load_settings
from settings.keys import all_keys
from tests.unit.test_documents import CHECKOUT

DOCKERFILE = (CHECKOUT / "Dockerfile").read_text("utf-8")
UNIT = (CHECKOUT / "deploy/systemd/eventproc@.service").read_text("utf-8")
DEFAULTS = load_settings(None, {"EVENTS_ENABLED": "true"}, None)


def instructions(name: str) -> list[str]:
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
    return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


def pins(file: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in re.findall(
        r"^([a-z0-9._-]+)==([^ ]+)", (CHECKOUT / file).read_text("utf-8"), re.MULTILINE
    ):
        found.setdefault(name, set()).add(version)
    return found


def directives(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


def test_the_image_runs_as_the_user_that_the_chart_names_and_starts_a_worker() -> None:
    assert instructions("USER") == ["10001:10001"]
    assert [json.loads(i) for i in (*instructions("ENTRYPOINT"), *instructions("CMD"))] == [
        ["eventproc"],
        ["worker"],
    ]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert instructions("EXPOSE") == [str(DEFAULTS.web_port)]


def test_both_stages_are_the_same_python_by_an_exact_tag_that_we_support() -> None:
    assert instructions("FROM") == ["python:${PYTHON} AS build", "python:${PYTHON}"]
    (tag,) = [i.removeprefix("PYTHON=") for i in instructions("ARG") if i.startswith("PYTHON=")]
    assert re.fullmatch(r"3\.1[0-9]\.\d+-slim-[a-z]+", tag)


def test_the_image_says_it_lives_by_a_page_that_there_is() -> None:
    (check,) = instructions("HEALTHCHECK")
    command = json.loads(check.partition(" CMD ")[2])
    compile(command[2], "healthcheck", "exec")
    assert command[:2] == ["python", "-c"]
    assert "/health/live" in command[2]
    assert f"'{DEFAULTS.web_port}'" in command[2]
    assert "WEB_PORT" in {variable for key in all_keys().values() for variable in key.variables}


def test_what_the_image_copies_is_let_into_the_build_and_is_all_of_the_package() -> None:
    copied = {word for i in instructions("COPY") if not i.startswith("--from") for word in i.split()[:-1]}
    allowed = {
        line[1:]
        for line in (CHECKOUT / ".dockerignore").read_text("utf-8").splitlines()
        if line.startswith("!")
    }
    assert copied == allowed
    assert all((CHECKOUT / name).exists() for name in copied)
    packages = re.findall(r'^    "([a-z]+)(?:\.[a-z_.]+)?",$', _section("[tool.setuptools]"), re.MULTILINE)
    assert set(packages) == {name for name in copied if (CHECKOUT / name).is_dir()}


def test_every_package_is_installed_into_the_image() -> None:
    listed = re.findall(r'^    "([a-z._]+)",$', _section("packages = ["), re.MULTILINE)
    found = [
        ".".join(path.parent.relative_to(CHECKOUT).parts)
        for name in ("agents", "eventproc", "settings")
        for path in (CHECKOUT / name).rglob("__init__.py")
    ]
    assert sorted(listed) == sorted(found)


def test_the_image_holds_the_versions_that_are_tested() -> None:
    image, tested = pins("requirements-image.lock"), pins("requirements.lock")
    assert {name for name, versions in image.items() if not versions <= tested.get(name, set())} == {
        "setuptools"
    }
    assert "uvloop" in image
    assert not {"pytest", "mypy", "hypothesis"} & set(image)


def test_every_dependency_of_the_project_is_in_the_image() -> None:
    declared = re.findall(r'^    "([A-Za-z0-9-]+)', _section("dependencies = ["), re.MULTILINE)
    assert len(declared) > 10
    assert {name.lower() for name in declared} <= set(pins("requirements-image.lock"))


def test_systemd_gives_a_worker_the_time_to_stop_and_does_not_repeat_a_wrong_configuration() -> None:
    assert int(directives("TimeoutStopSec")[0]) > DEFAULTS.delivery.worker_shutdown_timeout_seconds + 3
    assert directives("Restart") == ["on-failure"]
    assert directives("RestartPreventExitStatus") == ["2"]
    assert directives("ExecStart") == ["/opt/eventproc/bin/eventproc worker"]


def test_systemd_hands_secrets_over_as_files_of_settings_that_there_are() -> None:
    credentials = dict(value.split(":") for value in directives("LoadCredential"))
    variables = {variable for key in all_keys().values() for variable in key.variables}
    handed = re.findall(r"^Environment=(SECRET_[A-Z0-9_]+)_FILE=%d/([a-z0-9-]+)$", UNIT, re.MULTILINE)
    assert {name for _, name in handed} == set(credentials)
    assert {variable for variable, _ in handed} <= variables
    assert all(path == f"/etc/eventproc/secrets/{name}" for name, path in credentials.items())


def test_a_unit_s_worker_has_a_user_of_its_own_and_nothing_to_write_to() -> None:
    for name, value in {
        "DynamicUser": "yes",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "PrivateTmp": "yes",
        "CapabilityBoundingSet": "",
        # Refused, not killed: a library's unexpected call must not end a worker in the middle of its deliveries.
        "SystemCallErrorNumber": "EPERM",
    }.items():
        assert directives(name) == [value], name
    assert not directives("ReadWritePaths")


def test_the_lints_are_part_of_ci() -> None:
    assert "\n  make lint-deploy\n" in (CHECKOUT / ".ci/run").read_text("utf-8")
    script = (CHECKOUT / "deploy/lint.sh").read_text("utf-8")
    for file in re.findall(r"\b(?:deploy/[a-z_/@.]+\.(?:yaml|service|lock)|Dockerfile)\b", script):
        assert (CHECKOUT / file).is_file(), file
    assert Path(CHECKOUT / "deploy/lint.sh").stat().st_mode & 0o111


def _section(begin: str) -> str:
    text = (CHECKOUT / "pyproject.toml").read_text("utf-8").partition(f"\n{begin}\n")[2]
    return text.partition("\n]\n")[0] + "\n"
