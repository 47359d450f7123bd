from __future__ import annotations

import pytest

from eventproc.destination_patterns import UnknownNameError, choose, stands_for
from eventproc.identifiers import DestinationId

KNOWN = [
    DestinationId(one) for one in ("callback-api", "client.acme.sep24", "client.acme.sep6", "client.[b].sep6")
]


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("callback-api", ["callback-api"]),
        ("client.acme", ["client.acme.sep24", "client.acme.sep6"]),
        ("client.*", ["client.acme.sep24", "client.acme.sep6", "client.[b].sep6"]),
        ("*.sep6", ["client.acme.sep6", "client.[b].sep6"]),
        ("client.[b].sep6", ["client.[b].sep6"]),
        ("client.acme.sep?", ["client.acme.sep6"]),
        ("*", KNOWN),
    ],
)
def test_a_pattern_is_a_name_what_it_is_above_or_a_glob(pattern: str, meant: list[str]) -> None:
    assert [one for one in KNOWN if stands_for(pattern, one)] == meant
    assert choose([pattern], KNOWN) == meant


def test_several_patterns_keep_the_order_of_the_configuration_and_name_nothing_twice() -> None:
    assert choose(["*.sep6", "client.acme", "callback-api"], KNOWN) == KNOWN
    assert choose([], KNOWN) == KNOWN


def test_half_a_name_is_no_name() -> None:
    assert not stands_for("client.ac", "client.acme.sep6")


@pytest.mark.parametrize(
    ("pattern", "nearest"),
    [("client.acme.sep4", "client.acme.sep24"), ("callback_api", "callback-api"), ("zzz*", "callback-api")],
)
def test_who_is_not_known_is_told_the_nearest_right_names(pattern: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError, match=f"No destination .*{nearest}") as raised:
        choose(["callback-api", pattern], KNOWN)
    assert nearest in raised.value.nearest
    assert set(raised.value.nearest) <= set(KNOWN)


def test_where_nothing_is_configured_nothing_is_near() -> None:
    with pytest.raises(UnknownNameError, match="None is configured"):
        choose(["a"], [])
