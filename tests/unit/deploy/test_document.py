"""docs/deployment.md: its values fit the chart, its services are compose's, its files are there."""

from __future__ import annotations

import re

import jsonschema
import yaml

from tests.unit.deploy.test_chart import SCHEMA
from tests.unit.deploy.test_compose import SERVICES
from tests.unit.test_documents import CHECKOUT

TEXT = (CHECKOUT / "docs/deployment.md").read_text("utf-8")
SHELL = "\n".join(re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")


def test_the_values_shown_are_values_of_the_chart() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    jsonschema.Draft7Validator(SCHEMA).validate(yaml.safe_load(block))
    named = re.findall(r"--set(?:-file)? ([A-Za-z.]+)=", SHELL)
    assert named == ["config"]
    assert set(named) <= set(SCHEMA["properties"])


def test_the_names_in_commands_are_what_the_chart_makes() -> None:
    assert "helm upgrade --install eventproc deploy/helm/eventproc --namespace anchor" in SHELL
    rendered = (CHECKOUT / "tests/golden/helm/small.yaml").read_text("utf-8")
    (rolled,) = re.findall(r"rollout status statefulset/(\S+)", SHELL)
    assert f"kind: StatefulSet\nmetadata:\n  name: {rolled}\n" in rendered


def test_the_secrets_shown_are_the_keys_that_the_values_name() -> None:
    made = set(re.findall(r"--from-file=(\S+)", SHELL))
    used = set(re.findall(r"\{name: anchor-secrets, key: ([a-z0-9-]+)\}", TEXT))
    assert made == used


def test_services_and_ports_are_those_of_compose() -> None:
    named = re.findall(r"docker compose (?:exec(?: -T)?|stop|start) (\S+)", SHELL)
    (followed,) = re.findall(r"docker compose logs --follow (.+)", SHELL)
    assert {*named, *followed.split()} == {"kafka", "worker-1", "wallet", "business-server"} <= set(SERVICES)
    published = {port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])}
    assert set(re.findall(r"http://localhost:(\d+)", TEXT)) <= published


def test_the_files_in_commands_are_there() -> None:
    named = re.findall(r"\b(?:deploy/[a-z/@.]+[a-z]|requirements-[a-z]+\.lock)", SHELL)
    assert len(named) >= 4
    for name in named:
        assert (CHECKOUT / name).exists(), name
