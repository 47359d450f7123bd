"""The table of `make mutants`, its list of survivors and a trial of its own, without cosmic-ray, which CI has not."""

from __future__ import annotations

import importlib
import sys

import pytest

from tests.mutants.modules import TARGETS
from tests.mutants.survivors import survivors
from tests.mutants.trial import MutantFinder


@pytest.mark.parametrize("name", TARGETS)
def test_the_tests_of_each_module_exist(name: str) -> None:
    assert TARGETS[name].source
    assert TARGETS[name].test_files
    assert [path for path in TARGETS[name].test_files if not path.exists()] == []


@pytest.mark.parametrize("name", TARGETS)
def test_each_survivor_names_a_line_of_its_module(name: str) -> None:
    lines = {line.strip() for line in TARGETS[name].source.splitlines()}
    for entry in survivors(name):
        assert set(entry.was.split(" ⏎ ")) <= lines, entry
        assert entry.why
        assert entry.now != entry.was


def test_a_trial_imports_the_mutated_text_in_place_of_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    finder = MutantFinder("eventproc.mutated", "number = 2")
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    assert vars(importlib.import_module("eventproc.mutated"))["number"] == 2
    monkeypatch.delitem(sys.modules, "eventproc.mutated")
