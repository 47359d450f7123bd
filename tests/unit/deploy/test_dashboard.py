"""The dashboard asks for what workers tell, and can be read: titles, units, descriptions, no overlaps."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.unit.deploy.promql import Question, series_labels
from tests.unit.test_documents import CHECKOUT

DASHBOARD: dict[str, Any] = json.loads((CHECKOUT / "deploy/grafana/eventproc.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}

# Grafana's own, by what they stand for when it asks Prometheus.
BUILT_IN = {"$__rate_interval": "1m", "$__range": "3h"}

each_panel = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])


def question(expression: str) -> Question:
    for name, value in BUILT_IN.items():
        expression = expression.replace(name, value)
    return Question(expression, series_labels())


@each_panel
def test_a_panel_asks_for_metrics_and_labels_that_workers_have(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        asked = question(target["expr"])
        assert asked.metrics
        assert set(re.findall(r"\{\{([a-z_]+)\}\}", target["legendFormat"])) <= asked.labels
        assert set(re.findall(r"\$([a-z]+)", target["expr"])) <= set(VARIABLES)


@each_panel
def test_a_panel_explains_itself(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in {"ops", "s", "short", "cpm", "bytes"}


@each_panel
def test_a_panel_is_asked_of_the_data_source_chosen(panel: dict[str, Any]) -> None:
    assert {json.dumps(where["datasource"]) for where in (panel, *panel["targets"])} == {
        '{"type": "prometheus", "uid": "${datasource}"}'
    }


def test_panels_lie_side_by_side_without_overlap_and_in_rows() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for cell in (
            (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        ):
            assert taken.setdefault(cell, panel["title"]) == panel["title"]
    height = max(y for _, y in taken) + 1
    assert len(taken) == 24 * height, "gaps"
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Overview", "Destination: $destination", "Router", "Workers"]


def test_the_panels_of_a_row_about_a_destination_ask_for_the_chosen_ones_only() -> None:
    heights = {p["title"]: p["gridPos"]["y"] for p in DASHBOARD["panels"] if p["type"] == "row"}
    for panel in PANELS:
        is_of_destination = heights["Destination: $destination"] < panel["gridPos"]["y"] < heights["Router"]
        for target in panel["targets"]:
            assert ("$destination" in target["expr"]) == is_of_destination, panel["title"]


def test_the_variables_are_filled_from_series_that_workers_have() -> None:
    assert VARIABLES["datasource"]["query"] == "prometheus"
    for name in ("job", "destination"):
        selector, label = re.fullmatch(
            r"label_values\((.+), ([a-z]+)\)", VARIABLES[name]["definition"]
        ).groups()  # type: ignore[union-attr]
        assert label in question(selector).labels
        assert VARIABLES[name]["query"]["query"] == VARIABLES[name]["definition"]


def test_the_breaker_s_words_are_those_of_its_numbers() -> None:
    from eventproc.metrics import BREAKER_VALUES

    words = {state.value.replace("_", "-"): str(number) for state, number in BREAKER_VALUES.items()}
    mappings = [
        mapping["options"]
        for panel in PANELS
        for mapping in [
            *panel["fieldConfig"]["defaults"].get("mappings", []),
            *(
                m
                for o in panel["fieldConfig"]["overrides"]
                for p in o["properties"]
                if p["id"] == "mappings"
                for m in p["value"]
            ),
        ]
        if "2" in mapping["options"]
    ]
    assert len(mappings) == 2
    for mapping in mappings:
        assert {shown["text"]: number for number, shown in mapping.items()} == words


@pytest.mark.parametrize(
    "expression",
    [
        "eventproc_nonsense",
        'eventproc_lag{wallet="x"}',
        "sum by (reason) (eventproc_lag)",
        "rate(eventproc_lag",
        "sum without (job) (eventproc_lag)",
    ],
)
def test_an_expression_that_asks_for_what_is_not_there_is_seen(expression: str) -> None:
    with pytest.raises(ValueError):
        question(expression)
