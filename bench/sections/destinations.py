"""The same load for 1, 10, 100 and 1,000 clients with one endpoint each, from TRANSACTION to the receiver.

Every topic has one partition, so that their number is that of the destinations; 1,000 of 8 would measure the
broker. The clients' list is a file: 1,000 of them do not fit a variable (128 KiB on Linux).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from bench.lab import Lab
from bench.load import Load, clients
from bench.passage import pass_through
from bench.results import DestinationsResult
from tests.servers.anchor_env import Names

DESTINATIONS, QUICK_DESTINATIONS = (1, 10, 100, 1000), (10, 1000)
EVENTS_PER_SECOND = 2_000
TOPIC_PARTITIONS = 1


async def measure(lab: Lab) -> tuple[DestinationsResult, ...]:
    """The same number of events each time."""
    numbers = QUICK_DESTINATIONS if lab.options.quick else DESTINATIONS
    return tuple([await _measure(lab, number) for number in numbers])


async def _measure(lab: Lab, number: int) -> DestinationsResult:
    names = Names.unique()
    load = Load(round(EVENTS_PER_SECOND * lab.options.window_seconds), clients=number)
    with tempfile.TemporaryDirectory(prefix="bench-clients-") as folder:
        file = Path(folder) / "clients.json"
        file.write_text(json.dumps({"items": clients(number, lab.receiver.url)}))
        extra = {
            "CLIENTS_TYPE": "file",
            "CLIENTS_VALUE": str(file),
            "TOPICS_PARTITIONS": str(TOPIC_PARTITIONS),
        }
        window = await pass_through(lab, lab.env(names, extra=extra), names, load)
    lab.tell(f"destinations, {number:,}: {window.per_second:,.0f}/s, {window.cpu_us_each:.0f} us")
    return DestinationsResult(number, window.per_second, window.cpu_us_each)
