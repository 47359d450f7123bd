"""The ledger must see what it is there for: a chaos run is worth what its count is worth."""

from __future__ import annotations

import pytest

from tests.chaos.ledger import DeliveryLedger, Tally


def _ledger(*arrivals: str, destination: str = "/event") -> DeliveryLedger:
    """Two transactions of three events each, a1 b1 a2 …, and what came of them."""
    ledger = DeliveryLedger()
    for step in (1, 2, 3):
        for transaction in ("a", "b"):
            ledger.due("/event", f"{transaction}{step}", transaction)
    for event_id in arrivals:
        ledger.received(destination, event_id)
    return ledger


def test_a_complete_run_in_order_is_clean() -> None:
    ledger = _ledger("b1", "a1", "b2", "b3", "a2", "a3")
    assert ledger.tally() == Tally(sent=6, received=6, lost=0, duplicates=0, out_of_order=0)
    assert ledger.missing == 0


def test_a_lost_event_is_seen() -> None:
    ledger = _ledger("a1", "a2", "b1", "b2", "b3")
    assert (ledger.tally().lost, ledger.tally().received, ledger.missing) == (1, 5, 1)


def test_a_duplicate_hides_no_lost_event() -> None:
    tally = _ledger("a1", "a1", "a1", "b1", "b2", "b3").tally()
    assert (tally.received, tally.lost, tally.duplicates) == (4, 2, 2)


def test_an_overtaken_event_is_seen_and_other_lanes_may_overtake() -> None:
    assert _ledger("b1", "b2", "b3", "a2", "a1", "a3").tally().out_of_order == 1
    assert _ledger("a3", "a1", "a2", "b1", "b2", "b3").tally().out_of_order == 2


def test_an_event_that_comes_after_its_successor_is_out_of_order_even_where_one_is_missing() -> None:
    assert _ledger("a3", "a1").tally().out_of_order == 1


def test_a_repetition_is_no_disorder() -> None:
    assert _ledger("a1", "a2", "a1", "a2", "a3", "b1", "b2", "b3").tally().out_of_order == 0


def test_the_wrong_destination_is_no_reception() -> None:
    tally = _ledger("a1", destination="/sep24").tally()
    assert (tally.lost, tally.strangers) == (6, 1)


def test_a_dead_letter_is_not_lost_and_no_reception_until_it_is_redriven() -> None:
    ledger = _ledger("a1", "a2", "b1", "b2", "b3")
    ledger.dead_lettered("/event", "a3")
    assert (ledger.tally().lost, ledger.tally().received, ledger.tally().dead_lettered) == (0, 5, 1)
    ledger.received("/event", "a3")
    assert (ledger.tally().lost, ledger.tally().received, ledger.tally().dead_lettered) == (0, 6, 0)


def test_an_event_id_is_due_once() -> None:
    with pytest.raises(ValueError, match="due twice"):
        _ledger().due("/event", "a1", "a")


def test_the_line_is_the_one_that_is_looked_for() -> None:
    line = _ledger("a1", "a2", "a1").tally().line("kill")
    assert line == "chaos: kill sent=6 received=2 lost=4 duplicates=1 out_of_order=0"
