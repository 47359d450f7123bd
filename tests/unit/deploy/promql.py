"""What an expression asks Prometheus for, by a real parser: its metrics, and the labels of its answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import promql_parser

from agents.router import RouterStats
from eventproc.metrics import EventprocCollector, Sources
from tests.unit.delivery.test_engine import World

SCRAPE_LABELS = frozenset({"job", "instance"})
"""What Prometheus adds to every series."""

OF_PROMETHEUS = {"up": SCRAPE_LABELS, "ALERTS": SCRAPE_LABELS | {"alertname", "alertstate"}}


def series_labels() -> dict[str, frozenset[str]]:
    """The name of each series that a worker's page has, and its labels."""
    router = SimpleNamespace(stats=RouterStats(), partitions={}, contested_customers=0)
    engine = World().engine
    sources = Sources(lambda: [engine], router, lambda: {}.get, lambda: 0.0, lambda: 0.0)
    found: dict[str, frozenset[str]] = dict(OF_PROMETHEUS)
    for family in EventprocCollector(sources).collect():
        labels = SCRAPE_LABELS | frozenset(getattr(family, "_labelnames", ()))
        match family.type:
            case "histogram":
                found |= {family.name + end: labels for end in ("_sum", "_count")}
                found[family.name + "_bucket"] = labels | {"le"}
            case "counter":
                found[family.name + "_total"] = labels
            case _:
                found[family.name] = labels
    return found


class Question:
    """One expression against the series that there are.

    Attributes:
        metrics: every series name in it.
        labels: of the answer.
    """

    def __init__(self, expression: str, series: dict[str, frozenset[str]]) -> None:
        """Raises ValueError for what is not PromQL, or names a series or a label that does not exist."""
        self.metrics: set[str] = set()
        self._series = series
        self.labels = self._labels(promql_parser.parse(expression))

    def _labels(self, node: Any) -> frozenset[str]:
        match node:
            case promql_parser.VectorSelector():
                return self._selected(node)
            case promql_parser.MatrixSelector():
                return self._selected(node.vector_selector)
            case promql_parser.AggregateExpr():
                return self._aggregated(node)
            case promql_parser.BinaryExpr():
                left, right = self._labels(node.lhs), self._labels(node.rhs)
                if node.modifier is not None and node.modifier.matching is not None:
                    _all_of(left & right, node.modifier.matching.labels, node)
                return left or right
            case promql_parser.Call():
                inner = [self._labels(argument) for argument in node.args]
                dropped = {"le"} if node.func.name == "histogram_quantile" else set()
                return frozenset().union(*inner) - dropped
            case promql_parser.ParenExpr() | promql_parser.SubqueryExpr() | promql_parser.UnaryExpr():
                return self._labels(node.expr)
            case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
                return frozenset()
            case _:
                raise ValueError(f"{node!r} is not expected here")

    def _selected(self, node: Any) -> frozenset[str]:
        if node.name not in self._series:
            raise ValueError(f"{node.name}: no such metric")
        self.metrics.add(node.name)
        _all_of(self._series[node.name], [matcher.name for matcher in node.matchers.matchers], node)
        return self._series[node.name]

    def _aggregated(self, node: Any) -> frozenset[str]:
        inner = self._labels(node.expr)
        if node.modifier is None:
            return inner if str(node.op) in {"topk", "bottomk"} else frozenset()
        if node.modifier.type != promql_parser.AggModifierType.By:
            raise ValueError(f"{node}: say which labels stay, not which go")
        _all_of(inner, node.modifier.labels, node)
        return frozenset(node.modifier.labels)


def _all_of(known: frozenset[str], named: list[str], node: Any) -> None:
    if unknown := set(named) - known:
        raise ValueError(f"{node}: no label {', '.join(sorted(unknown))}")
