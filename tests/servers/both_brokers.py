"""For tests that must hold on the demo's broker, too."""

from __future__ import annotations

import pytest

both_brokers = pytest.mark.parametrize(
    "broker", ["embedded_broker", pytest.param("apache_kafka", marks=pytest.mark.kafka)], indirect=True
)
"""Runs a test, whose fixtures have `broker` among them, on each of the two brokers."""
