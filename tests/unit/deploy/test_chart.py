"""The chart, as helm has rendered it: what runs in Kubernetes is what the code needs, and the rendering is current."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from settings import Settings, load_settings
from settings.keys import all_keys
from tests.servers.anchor_env import CALLBACK_SECRET, MORE_INFO_SECRET, TEST_SEED
from tests.unit.deploy.promql import Question, series_labels
from tests.unit.test_documents import CHECKOUT

CHART = CHECKOUT / "deploy/helm/eventproc"
GOLDEN = CHECKOUT / "tests/golden/helm"
RENDERED = ["small", "everything"]
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text("utf-8"))

each_rendering = pytest.mark.parametrize("name", RENDERED)


def manifests(name: str) -> dict[str, dict[str, Any]]:
    documents = yaml.safe_load_all((GOLDEN / f"{name}.yaml").read_text("utf-8"))
    return {manifest["kind"]: manifest for manifest in documents if manifest}


def pod(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifests(name)["StatefulSet"]["spec"]["template"]["spec"]
    return spec


def worker(name: str) -> dict[str, Any]:
    (container,) = pod(name)["containers"]
    return dict(container)


def checksum() -> str:
    """As deploy/lint.sh computes it: of every file's name and content, links left out."""
    digest = hashlib.sha256()
    files = (path for path in CHART.rglob("*") if path.is_file() and not path.is_symlink())
    for name in sorted(f"./{path.relative_to(CHART).as_posix()}" for path in files):
        digest.update(f"{name}\n".encode() + (CHART / name).read_bytes())
    return digest.hexdigest()


@each_rendering
def test_what_is_tested_here_is_what_helm_makes_of_the_chart(name: str) -> None:
    head = (GOLDEN / f"{name}.yaml").read_text("utf-8").partition("\n")[0]
    assert head.endswith(checksum()), "the chart has changed: make lint-deploy ARGS=--helm"


@each_rendering
def test_a_worker_runs_without_rights_and_writes_to_its_tmp_only(name: str) -> None:
    assert pod(name)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert worker(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(name)["automountServiceAccountToken"] is False
    writable = [mount["mountPath"] for mount in worker(name)["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/tmp"]


@each_rendering
def test_probes_ask_pages_that_there_are(name: str) -> None:
    container = worker(name)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert environment["WEB_PORT"] == str(ports["web"])
    paths = {
        kind: container[kind]["httpGet"]["path"]
        for kind in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths == {
        "startupProbe": "/health/live",
        "livenessProbe": "/health/live",
        "readinessProbe": "/health/ready",
    }
    pages = "".join(path.read_text("utf-8") for path in (CHECKOUT / "agents/pages").rglob("*.py"))
    for path in paths.values():
        assert f'"{path}"' in pages
    assert all(container[kind]["httpGet"]["port"] == "web" for kind in paths)


@each_rendering
def test_a_pod_has_the_time_to_stop_and_to_start(name: str) -> None:
    defaults = load_settings(None, {"EVENTS_ENABLED": "true"}, None)
    assert pod(name)["terminationGracePeriodSeconds"] > defaults.delivery.worker_shutdown_timeout_seconds + 3
    startup = worker(name)["startupProbe"]
    allowed = startup["periodSeconds"] * startup["failureThreshold"]
    assert allowed > defaults.consumer.connect_attempts_seconds, (
        "it would be killed before it says: no broker"
    )


def test_the_least_values_are_a_configuration(tmp_path: Path) -> None:
    settings = _settings_in("small", tmp_path)
    assert settings.warnings == ()
    assert [client.name for client in settings.clients] == ["lobstr"]
    assert settings.sep10.signing_seed is not None
    assert settings.sep10.signing_seed.get_secret_value() == TEST_SEED
    assert settings.consumer.group_instance_id == "anchor.eventproc-0"


@each_rendering
def test_every_variable_of_a_pod_is_one_of_ours_or_its_name(name: str) -> None:
    known = {variable for key in all_keys().values() for variable in key.variables} | {"EVENTPROC_CONFIG"}
    known |= {f"{variable}_FILE" for variable in known if variable.startswith("SECRET_")}
    assert {entry["name"] for entry in worker(name)["env"]} - known == {"POD_NAME", "POD_NAMESPACE"}


@each_rendering
def test_secrets_are_files_and_never_values(name: str) -> None:
    text = (GOLDEN / f"{name}.yaml").read_text("utf-8")
    assert "secretKeyRef" not in text
    mount = {mount["name"]: mount["mountPath"] for mount in worker(name)["volumeMounts"]}["secrets"]
    (volume,) = [volume for volume in pod(name)["volumes"] if volume["name"] == "secrets"]
    assert volume["projected"]["defaultMode"] == 0o440
    files = {item["path"] for source in volume["projected"]["sources"] for item in source["secret"]["items"]}
    given = {
        entry["name"]: entry["value"] for entry in worker(name)["env"] if entry["name"].startswith("SECRET_")
    }
    assert given == {f"{file}_FILE": f"{mount}/{file}" for file in files}


@each_rendering
def test_everything_that_selects_workers_selects_these(name: str) -> None:
    found = manifests(name)
    labels = found["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        found["StatefulSet"]["spec"]["selector"]["matchLabels"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        *(rule["labelSelector"]["matchLabels"] for rule in pod(name)["topologySpreadConstraints"]),
    ]
    if name == "everything":
        selectors.append(found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"])
        selectors.append(found["PodMonitor"]["spec"]["selector"]["matchLabels"])
    for selector in selectors:
        assert selector == {"app.kubernetes.io/name": "eventproc", "app.kubernetes.io/instance": "eventproc"}
        assert selector.items() <= labels.items()
    assert found["StatefulSet"]["spec"]["serviceName"] == found["Service"]["metadata"]["name"]


def test_one_worker_at_a_time_is_taken_away() -> None:
    found = manifests("small")
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    # Ordered and one by one is what RollingUpdate of a StatefulSet does.
    assert found["StatefulSet"]["spec"]["updateStrategy"] == {"type": "RollingUpdate"}
    assert found["StatefulSet"]["spec"]["minReadySeconds"] > 0


def test_a_scaler_leaves_the_number_of_workers_alone_to_nobody_else() -> None:
    found = manifests("everything")
    assert "replicas" not in found["StatefulSet"]["spec"]
    scaled = found["ScaledObject"]["spec"]
    assert scaled["scaleTargetRef"]["name"] == found["StatefulSet"]["metadata"]["name"]
    assert (
        scaled["maxReplicaCount"] <= load_settings(None, {"EVENTS_ENABLED": "true"}, None).topics.partitions
    )


def test_workers_are_scaled_by_a_lag_that_workers_tell() -> None:
    query = VALUES["autoscaling"]["keda"]["prometheus"]["query"]
    assert Question(query, series_labels()).metrics == {
        "eventproc_source_lag",
        "eventproc_lag",
        "eventproc_breaker_state",
        "eventproc_paused",
    }
    (prometheus, _) = manifests("everything")["ScaledObject"]["spec"]["triggers"]
    assert prometheus["metadata"]["query"] == query


def test_metrics_are_scraped_where_they_are_under_the_job_that_alerts_know() -> None:
    found = manifests("everything")
    monitor = found["PodMonitor"]["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("web", "/metrics")
    assert endpoint["authorization"]["credentials"] == {"name": "anchor-secrets", "key": "web-admin-token"}
    labels = found["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert labels[monitor["jobLabel"]] == "eventproc"


def test_cloud_metadata_is_out_of_reach_behind_the_network_policy() -> None:
    policy = manifests("everything")["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    blocks = [peer["ipBlock"] for rule in policy["egress"] for peer in rule["to"]]
    assert {block["cidr"]: block["except"] for block in blocks} == {
        "0.0.0.0/0": ["169.254.0.0/16"],
        "::/0": ["fe80::/10"],
    }


def test_the_chart_carries_the_alerts_and_the_dashboard_themselves() -> None:
    assert (CHART / "files/alerts.yaml").resolve() == CHECKOUT / "deploy/prometheus/alerts.yaml"
    assert (CHART / "files/dashboard.json").resolve() == CHECKOUT / "deploy/grafana/eventproc.json"


def test_the_values_and_those_of_the_lint_fit_their_schema() -> None:
    validator = jsonschema.Draft7Validator(SCHEMA)
    validator.check_schema(SCHEMA)
    validator.validate(VALUES)
    for path in sorted((CHART / "ci").glob("*.yaml")):
        validator.validate(yaml.safe_load(path.read_text("utf-8")))


def test_the_schema_knows_every_value_and_no_other() -> None:
    assert set(_paths(VALUES, SCHEMA)) == set(_schema_paths(SCHEMA)) - {"global"}


@pytest.mark.parametrize(
    "values",
    [
        {"terminationGracePeriodSeconds": 30},
        {"secrets": {"SECRET_SEP10_SIGNING_SEED": "S…"}},
        {"env": {"SECRET_SEP10_SIGNING_SEED": "S…"}},
        {"replica": 3},
        {"autoscaling": {"type": "lag"}},
        {"web": {"port": 80}},
    ],
)
def test_a_wrong_value_is_refused_before_anything_is_installed(values: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SCHEMA).validate(values)


def test_the_chart_has_the_program_s_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    project = (CHECKOUT / "pyproject.toml").read_text("utf-8")
    assert f'\nversion = "{chart["appVersion"]}"\n' in project


def _settings_in(name: str, folder: Path) -> Settings:
    """The settings that a worker in this pod would have."""
    environment = {}
    for entry in worker(name)["env"]:
        value = entry.get("value", "")
        environment[entry["name"]] = value.replace("$(POD_NAMESPACE)", "anchor").replace(
            "$(POD_NAME)", "eventproc-0"
        )
    for variable, secret in (
        ("SECRET_SEP10_SIGNING_SEED", TEST_SEED),
        ("SECRET_CALLBACK_API_AUTH_SECRET", CALLBACK_SECRET),
        ("SECRET_SEP24_MORE_INFO_URL_JWT_SECRET", MORE_INFO_SECRET),
    ):
        assert f"{variable}_FILE" in environment
        (folder / variable).write_text(secret + "\n", "utf-8")
        environment[f"{variable}_FILE"] = str(folder / variable)
    assert environment["EVENTPROC_CONFIG"] == "/etc/eventproc/anchor.yaml"
    file, empty = folder / "anchor.yaml", folder / ".env"
    file.write_text(manifests(name)["ConfigMap"]["data"]["anchor.yaml"], "utf-8")
    empty.touch()
    return load_settings(file, environment, empty)


def _paths(values: dict[str, Any], schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted names of values, as deep as the schema names them."""
    for key, value in values.items():
        known = schema.get("properties", {}).get(key)
        assert known is not None, f"{prefix}{key} is not in the schema"
        if isinstance(value, dict) and "properties" in known:
            yield from _paths(value, known, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _schema_paths(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, known in schema["properties"].items():
        if "properties" in known:
            yield from _schema_paths(known, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_a_change_of_the_configuration_rolls_the_workers() -> None:
    annotations = manifests("small")["StatefulSet"]["spec"]["template"]["metadata"]["annotations"]
    text = manifests("small")["ConfigMap"]["data"]["anchor.yaml"]
    assert re.fullmatch(r"[0-9a-f]{64}", annotations["checksum/config"])
    assert annotations["checksum/config"] == hashlib.sha256(text.encode()).hexdigest()
