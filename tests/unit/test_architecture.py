"""The shape that the conventions promise: steps whole, modules and functions of a size to read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
STEPS = 12
MODULE_LINES = 400
FUNCTION_LINES = 60

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

LONG_MODULES = {
    "eventproc/delivery/engine.py": "the one heart: what happens to an event is read in one place",
}
"""Modules above the limit, each with its reason."""


def _modules() -> list[Path]:
    return [
        path
        for package in ("settings", "eventproc", "agents")
        for path in sorted(Path(package).rglob("*.py"))
    ]


@pytest.fixture(autouse=True)
def _in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)


def test_every_step_has_one_home_and_none_is_missing() -> None:
    homes: dict[int, list[str]] = {}
    for path in _modules():
        if found := re.match(r'"""Step (\d+) – ', path.read_text("utf-8")):
            homes.setdefault(int(found[1]), []).append(str(path))
    assert sorted(homes) == list(range(1, STEPS + 1))
    assert {number: paths for number, paths in homes.items() if len(paths) > 1} == {}


def test_the_package_lists_the_steps_in_their_order() -> None:
    listed = re.findall(
        r"(\d+)\. ([a-z ]+) \(``([a-z_/]+)``\)",
        " ".join(Path("eventproc/__init__.py").read_text("utf-8").split()),
    )
    assert [int(number) for number, _, _ in listed] == list(range(1, STEPS + 1))
    for number, name, module in listed:
        home = Path("eventproc", module).with_suffix(".py")
        if not home.is_file():
            home = Path("eventproc", module, "__init__.py")
        head = home.read_text("utf-8").partition("\n")[0]
        assert head.startswith(f'"""Step {number} – {name}:')


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path)
        for path in _modules()
        if path.stat().st_size > 1 and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


def test_modules_can_be_read_in_one_sitting() -> None:
    long = {str(p): n for p in _modules() if (n := len(p.read_text("utf-8").splitlines())) > MODULE_LINES}
    assert {name: lines for name, lines in long.items() if name not in LONG_MODULES} == {}


def test_no_module_is_excused_that_need_not_be() -> None:
    for name in LONG_MODULES:
        assert len(Path(name).read_text("utf-8").splitlines()) > MODULE_LINES


def test_functions_fit_on_a_screen() -> None:
    long = [
        f"{path}:{function.lineno} {function.name}, {length} lines"
        for path in _modules()
        for function, length in _functions(path)
        if length > FUNCTION_LINES
    ]
    assert long == []


def test_only_the_modules_named_for_it_touch_the_insides_of_faust_and_aiokafka() -> None:
    """Imports of their inner modules; the public names are everybody's."""
    inner = re.compile(
        r"^\s*(?:from|import) (faust\.(?!auth\b|types\b)|aiokafka\.(?!abc\b|admin\b|errors\b|structs\b))",
        re.MULTILINE,
    )
    touching = {str(path) for path in _modules() if inner.search(path.read_text("utf-8"))}
    assert touching == {
        "eventproc/delivery/aiokafka_internals.py",
        "eventproc/delivery/assignor.py",
        "eventproc/delivery/faust_command.py",
        "eventproc/delivery/faust_internals.py",
        "eventproc/delivery/faust_web.py",
        "eventproc/delivery/faust_worker.py",
        "eventproc/delivery/faust_subscription.py",
        "eventproc/delivery/fetch_plan.py",
        "eventproc/delivery/fetch_refusals.py",
        "eventproc/delivery/fetch_sessions.py",
        "eventproc/delivery/producer_internals.py",
        "eventproc/delivery/record_batches.py",
    }


def _functions(path: Path) -> Iterator[tuple[_Function, int]]:
    """Every function with its length, the functions inside it not counted: they stand for themselves."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, _Function):
            inner = {line for function in _inside(node) for line in _lines(function)}
            yield node, len(set(_lines(node)) - inner)


def _inside(function: _Function) -> list[_Function]:
    return [node for node in ast.walk(function) if isinstance(node, _Function) and node is not function]


def _lines(function: _Function) -> range:
    assert function.end_lineno is not None
    return range(function.lineno, function.end_lineno + 1)
