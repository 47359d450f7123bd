"""Every alert asks for what workers tell, says it well, and has its runbook."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from eventproc.metrics import QUESTIONS
from settings import load_settings
from tests.unit.deploy.promql import Question, series_labels
from tests.unit.test_documents import CHECKOUT, OPERATIONS

RULES = CHECKOUT / "deploy/prometheus/alerts.yaml"
RULE_TESTS = CHECKOUT / "deploy/prometheus/alerts_test.yaml"


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


each_alert = pytest.mark.parametrize(
    "rule", alerts(), ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}"
)


@each_alert
def test_an_alert_asks_for_metrics_and_labels_that_workers_have(rule: dict[str, Any]) -> None:
    assert Question(rule["expr"], series_labels()).metrics


@each_alert
def test_an_alert_says_what_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[mh]", rule["for"])
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"


@each_alert
def test_an_alert_names_only_labels_that_its_answer_has(rule: dict[str, Any]) -> None:
    labels = Question(rule["expr"], series_labels()).labels
    if rule["expr"].startswith("absent("):
        labels = frozenset()
    for text in rule["annotations"].values():
        assert set(re.findall(r"\$labels\.([a-z_]+)", text)) <= labels
        assert set(re.findall(r"\{\{\s*\$([a-z]+)", text)) <= {"labels", "value"}


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    text = OPERATIONS.read_text("utf-8")
    sections = re.findall(r"^### (Eventproc[A-Za-z]+)\n\n(.+?)(?=^##)", text, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in sections] == list(dict.fromkeys(rule["alert"] for rule in alerts()))
    for name, runbook in sections:
        for part in ("**Means**", "**Look**", "**Do**"):
            assert part in runbook, f"{name}: {part} is missing"


def test_every_alert_has_a_unit_test_in_which_it_fires() -> None:
    fired = {
        (case["alertname"], alert["exp_labels"]["severity"])
        for group in yaml.safe_load(RULE_TESTS.read_text("utf-8"))["tests"]
        for case in group["alert_rule_test"]
        for alert in case["exp_alerts"]
    }
    assert fired == {(rule["alert"], rule["labels"]["severity"]) for rule in alerts()}


def test_the_unit_tests_feed_series_that_workers_have() -> None:
    series = series_labels()
    for group in yaml.safe_load(RULE_TESTS.read_text("utf-8"))["tests"]:
        for fed in group["input_series"]:
            assert Question(fed["series"], series).metrics


def test_a_worker_that_is_stuck_is_told_before_it_ends_itself() -> None:
    (rule,) = [rule for rule in alerts() if rule["alert"] == "EventprocWorkerStuck"]
    threshold, minutes = int(rule["expr"].rpartition("> ")[2]), int(rule["for"].removesuffix("m"))
    assert (
        threshold + minutes * 60
        < load_settings(None, {"EVENTS_ENABLED": "true"}, None).delivery.stuck_after_seconds
    )


def test_every_metric_is_watched_by_an_alert_or_shown_on_the_dashboard() -> None:
    shown = (CHECKOUT / "deploy/grafana/eventproc.json").read_text("utf-8") + RULES.read_text("utf-8")
    assert [name for name in QUESTIONS if name not in shown] == []
