"""Where the CPU goes, from the sampler's stacks: microseconds per event, by function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

Stack = tuple[str, ...]

TREE_SHARE = 0.01
FUNCTIONS = 45
EVENT_LOOP_CALLERS = (":Worker.execute_from_commandline", ":ServiceThread._start_thread")


def render(stacks: Iterable[tuple[Stack, int]], events: int) -> str:
    """Own time by package and function, time with callees, and the tree of what takes 1 % or more."""
    weights: Counter[Stack] = Counter()
    for stack, us in stacks:
        weights[stack] += us
    total = sum(weights.values()) or 1
    events = max(1, events)
    lines = [
        f"{total / events:.1f} us of CPU for each of {events} events",
        "",
        "own time by package, us per event",
    ]
    lines += _functions(_packages(weights), events)
    lines += ["", "own time, us per event"]
    lines += _functions(_own(weights), events)
    lines += ["", "with what it calls, us per event"]
    lines += _functions(_with_callees(weights), events)
    lines += ["", "tree, us per event"]
    lines += _tree(weights, events, total * TREE_SHARE)
    return "\n".join(lines) + "\n"


def _own(weights: Counter[Stack]) -> Counter[str]:
    own: Counter[str] = Counter()
    for stack, us in weights.items():
        own[stack[-1]] += us
    return own


def _packages(weights: Counter[Stack]) -> Counter[str]:
    """A thread's outermost loop runs the event loop, whose own work is in C and counts for that one line."""
    packages: Counter[str] = Counter()
    for stack, us in weights.items():
        is_loop = stack[-1].endswith(EVENT_LOOP_CALLERS)
        packages[f"event loop of {stack[0]}" if is_loop else stack[-1].partition("/")[0]] += us
    return packages


def _with_callees(weights: Counter[Stack]) -> Counter[str]:
    found: Counter[str] = Counter()
    for stack, us in weights.items():
        for name in set(stack):
            found[name] += us
    return found


def _functions(times: Counter[str], events: int) -> list[str]:
    return [f"{us / events:9.2f}  {name}" for name, us in times.most_common(FUNCTIONS)]


def _tree(weights: Counter[Stack], events: int, least: float) -> Iterator[str]:
    below: Counter[Stack] = Counter()
    for stack, us in weights.items():
        for depth in range(1, len(stack) + 1):
            below[stack[:depth]] += us

    def children(node: Stack) -> Iterator[str]:
        nodes = [n for n, us in below.items() if len(n) == len(node) + 1 and n[:-1] == node and us >= least]
        for child in sorted(nodes, key=lambda n: -below[n]):
            yield f"{below[child] / events:9.2f}  {'  ' * len(node)}{child[-1]}"
            yield from children(child)

    yield from children(())
