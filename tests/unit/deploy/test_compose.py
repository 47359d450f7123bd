"""compose.yaml: right by the specification, hardened, and a configuration that delivers its sample events."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from eventproc.cli.main import main
from eventproc.customer_index import CustomerIndex
from eventproc.destinations import build_destinations
from eventproc.destinations.routes import build_routing_table
from eventproc.events import Event, decode
from settings import Settings, load_settings
from settings.keys import all_keys
from tests.unit.test_documents import CHECKOUT

COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = ["worker-1", "worker-2"]

each_service = pytest.mark.parametrize("name", SERVICES)


def settings_of(name: str, tmp_path: Path) -> Settings:
    """What a worker of this service reads, with its files where they are here."""
    files = {
        f"/run/secrets/{secret}": CHECKOUT / given["file"] for secret, given in COMPOSE["secrets"].items()
    }
    environment = {
        variable: str(files[value]) if variable.endswith("_FILE") else value
        for variable, value in SERVICES[name]["environment"].items()
    }
    (config,) = SERVICES[name]["configs"]
    assert config["target"] == environment["EVENTPROC_CONFIG"]
    empty = tmp_path / ".env"
    empty.touch()
    return load_settings(CHECKOUT / COMPOSE["configs"][config["source"]]["file"], environment, empty)


def test_it_is_right_by_the_compose_specification() -> None:
    schema = json.loads((CHECKOUT / "tests/schemas/compose-spec.json").read_text("utf-8"))
    jsonschema.Draft7Validator(schema).validate(COMPOSE)


@each_service
def test_no_service_has_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert service.get("read_only", False) or name == "kafka"
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), "for this machine only"


@each_service
def test_every_image_is_pinned_or_made_here(name: str) -> None:
    image = SERVICES[name]["image"]
    if image == "eventproc:local":
        assert SERVICES[name]["build"] == {"context": "."}
    else:
        assert re.fullmatch(r"(apache/kafka|prom/prometheus|grafana/grafana):v?\d+\.\d+\.\d+", image)


@each_service
def test_what_a_service_waits_for_can_come_true(name: str) -> None:
    for needed, condition in SERVICES[name].get("depends_on", {}).items():
        if condition["condition"] == "service_healthy":
            assert "test" in SERVICES[needed]["healthcheck"]
        else:
            assert condition == {"condition": "service_started"}
            assert needed in SERVICES


@each_service
def test_every_file_that_a_service_mounts_is_there(name: str) -> None:
    sources = [mount.partition(":")[0] for mount in SERVICES[name].get("volumes", [])]
    for source in sources:
        assert source in COMPOSE["volumes"] or (CHECKOUT / source).exists(), source
    for secret in SERVICES[name].get("secrets", []):
        assert (CHECKOUT / COMPOSE["secrets"][secret]["file"]).is_file()


@pytest.mark.parametrize("name", WORKERS)
def test_workers_have_a_configuration_without_a_fault(name: str, tmp_path: Path) -> None:
    settings = settings_of(name, tmp_path)
    assert settings.warnings == ()
    assert settings.consumer.group_instance_id == name
    (kafka,) = settings.events.queue.kafka.bootstrap_server.split(",")
    assert kafka.partition(":")[0] in SERVICES
    known = {variable for key in all_keys().values() for variable in key.variables} | {"EVENTPROC_CONFIG"}
    assert {variable.removesuffix("_FILE") for variable in SERVICES[name]["environment"]} <= known


def test_every_sample_event_goes_to_both_receivers_and_these_are_services(tmp_path: Path) -> None:
    settings = settings_of("worker-1", tmp_path)
    destinations = build_destinations(settings)
    routing = build_routing_table(settings, destinations)
    lines = (CHECKOUT / "deploy/compose/events.jsonl").read_bytes().splitlines()
    assert len(lines) >= 5
    for line in lines:
        event = decode(line)
        assert isinstance(event, Event)
        targets = routing.route(event, CustomerIndex()).destinations
        assert {urlsplit(destinations[target].endpoint.url).netloc for target in targets} == {
            "wallet:8080",
            "business-server:8080",
        }
    assert {"wallet", "business-server"} <= set(SERVICES)


def test_workers_stop_in_the_time_they_are_given(tmp_path: Path) -> None:
    delivery = settings_of("worker-1", tmp_path).delivery
    for name in WORKERS:
        grace = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        assert grace > delivery.worker_shutdown_timeout_seconds + 3


def test_the_receivers_commands_exist_with_their_options() -> None:
    for name in ("wallet", "business-server"):
        command, *arguments = SERVICES[name]["command"]
        shown = CliRunner().invoke(main, [command, "--help"]).output
        for option in (argument for argument in arguments if argument.startswith("--")):
            assert option in shown


def test_prometheus_looks_at_the_workers_and_loads_the_alerts() -> None:
    config = yaml.safe_load((CHECKOUT / "deploy/prometheus/prometheus.yaml").read_text("utf-8"))
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "eventproc"
    assert job["static_configs"] == [{"targets": [f"{name}:8088" for name in WORKERS]}]
    assert config["rule_files"] == ["alerts.yaml"]
    assert "./deploy/prometheus:/etc/prometheus:ro" in SERVICES["prometheus"]["volumes"]


def test_grafana_is_provisioned_with_that_prometheus_and_the_dashboard() -> None:
    provisioning = CHECKOUT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text("utf-8"))[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards/eventproc.yaml").read_text("utf-8"))["providers"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/eventproc.json"
    assert f"./deploy/grafana/eventproc.json:{home}:ro" in SERVICES["grafana"]["volumes"]
