"""The mutants of one source, made by the operators of cosmic-ray, and by one of our own: a call that is left out.

cosmic-ray rather than mutmut: mutmut 3 leaves out each decorated class and function, and so nearly all of the breaker,
and negates no condition. Of cosmic-ray's operators we use those below. The others replace an operator by each other
one, ``+`` by ``<<``, which any test notices: 2,900 mutants instead of 1,000, and a better score for nothing.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import pickle
from collections.abc import Iterator
from dataclasses import dataclass

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import MutationVisitor
from cosmic_ray.plugins import get_operator

_OPERATORS = (
    *("AddNot", "NumberReplacer", "ExceptionReplacer", "ZeroIterationForLoop"),
    *("ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak"),
    *("ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_USub_UAdd"),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt")),
    *(
        f"ReplaceBinaryOperator_{pair}"
        for pair in ("Add_Sub", "Sub_Add", "Mul_FloorDiv", "Div_Mul", "FloorDiv_Mul")
    ),
    *(
        f"ReplaceBinaryOperator_{pair}"
        for pair in ("Mod_Mul", "BitAnd_BitOr", "BitOr_BitAnd", "BitXor_BitOr")
    ),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("LShift_RShift", "RShift_LShift", "Pow_Mul")),
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change to one source; ``was`` and ``now`` are the lines that differ, without their indentation."""

    function: str
    line: int
    was: str
    now: str
    source: str

    @property
    def key(self) -> str:
        """Name for the same mutant of the same source in a later run."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:24]


def mutants(source: str) -> list[Mutant]:
    """Return the mutants of a source by line; each compiles, and differs in more than annotations."""
    original = _without_annotations(source)
    functions = _functions(source)
    found: dict[str, Mutant] = {}
    for mutated in (*_by_cosmic_ray(source), *_without_a_call(source)):
        if mutated not in found and _without_annotations(mutated) not in (None, original):
            found[mutated] = _describe(source, mutated, functions)
    return sorted(found.values(), key=lambda mutant: (mutant.line, mutant.now))


def _by_cosmic_ray(source: str) -> Iterator[str]:
    tree = get_ast(source)
    nodes = list(ast_nodes(tree))
    parsed = pickle.dumps(tree)  # `mutate_code` parses for each mutant: that took half of a run
    for name in _OPERATORS:
        operator = get_operator(f"core/{name}")()
        count = sum(len(list(operator.mutation_positions(node))) for node in nodes)
        for occurrence in range(count):
            with contextlib.suppress(
                AttributeError
            ):  # of ExceptionReplacer, which knows no `except module.Error`
                yield MutationVisitor(occurrence, operator).walk(pickle.loads(parsed)).get_code()


def _without_a_call(source: str) -> Iterator[str]:
    """Leave out each statement that is a call, except one that logs."""
    lines = source.encode().splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Expr) or node.end_lineno is None:
            continue
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if not isinstance(call, ast.Call) or ast.unparse(call.func).lstrip("_").startswith(
            ("log.", "self._log.")
        ):
            continue
        first, last = lines[node.lineno - 1], lines[node.end_lineno - 1]
        instead = first[: node.col_offset] + b"pass" + last[node.end_col_offset :]
        yield b"".join([*lines[: node.lineno - 1], instead, *lines[node.end_lineno :]]).decode()


def _without_annotations(source: str) -> str | None:
    """Return the source's meaning at run time; ``None`` if it does not compile. The modules never read annotations."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(value=None)
    return ast.dump(tree)


def _functions(source: str) -> list[tuple[int, int, str]]:
    """Return first line, last line and qualified name of each function and class; inner ones come last."""
    found: list[tuple[int, int, str]] = []

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{prefix}{child.name}"
                first = min(line.lineno for line in (child, *child.decorator_list))
                found.append((first, child.end_lineno or child.lineno, name))
                visit(child, f"{name}.")
            else:
                visit(child, prefix)

    visit(ast.parse(source), "")
    return found


def _describe(source: str, mutated: str, functions: list[tuple[int, int, str]]) -> Mutant:
    before, after = source.splitlines(), mutated.splitlines()
    start = next(
        number for number, (one, other) in enumerate(zip(before, after, strict=False)) if one != other
    )
    end = 0
    while before[-1 - end] == after[-1 - end]:
        end += 1
    was, now = (_one_line(lines[start : len(lines) - end]) for lines in (before, after))
    inside = [name for first, last, name in functions if first <= start + 1 <= last]
    return Mutant(inside[-1] if inside else "", start + 1, was, now, mutated)


def _one_line(lines: list[str]) -> str:
    return " ⏎ ".join(line.strip() for line in lines)
