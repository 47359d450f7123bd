"""Whether the consumer group fits into the one record in which Kafka keeps it, now and with a worker more.

Above the limit Kafka refuses every rebalance, and nobody reads anything: better known before a worker starts
than from it. Reckoned as the workers do it, see ``eventproc/assignment.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from eventproc.assignment import Sharing, share_out
from eventproc.doctor.findings import Check, ok, problem, warning

_NAME: Final = "record"
_MEMBER: Final = "eventproc-00000000-0000-0000-0000-{:012}"
"""A member's id, as long as Kafka makes it."""
_MORE_ROOM: Final = (
    "raise max.message.bytes of __consumer_offsets, and consumer.group_record_max_bytes to the same;"
    ' see "The group\'s record" in docs/scale.md'
)


def judge_group_record(
    group: str, workers: int, topics: Mapping[str, int], max_bytes: int, taken_bytes: int | None
) -> Iterator[Check]:
    """Every check of it.

    Args:
        group: what the checks are about.
        workers: that run now.
        topics: which the workers read, and how many partitions each has.
        max_bytes: ``consumer.group_record_max_bytes``, within which workers share topics out.
        taken_bytes: what Kafka takes, None when it does not tell.
    """
    limit = max_bytes if taken_bytes is None else min(max_bytes, taken_bytes)
    if max_bytes > limit:
        what = (
            f"consumer.group_record_max_bytes is {max_bytes:,}, and Kafka takes {limit:,}: it may be exceeded"
        )
        way_out = "lower the key, or raise max.message.bytes of __consumer_offsets"
        yield problem(group, "record limit", what, way_out)
    now, then = _shared(max(1, workers), topics, limit), _shared(workers + 1, topics, limit)
    size = f"{now.record_bytes:,} of {limit:,} bytes with {_count(workers)}"
    if now.record_bytes > limit:
        yield problem(group, _NAME, f"{size}: Kafka refuses it, and nobody reads", _MORE_ROOM)
    elif then.record_bytes > limit:
        what = f"{size}; with one more Kafka refuses it, and nobody reads: a rolling update may have one more"
        yield warning(group, _NAME, what, _MORE_ROOM)
    elif now.most_readers < workers:
        what = f"{size}: a wallet's events are shared by {now.most_readers} of them"
        yield warning(group, _NAME, what, _MORE_ROOM)
    else:
        yield ok(group, _NAME, size)


def _shared(workers: int, topics: Mapping[str, int], limit: int) -> Sharing:
    members = {_MEMBER.format(number): topics.keys() for number in range(workers)}
    return share_out({topic: range(count) for topic, count in topics.items()}, members, limit)


def _count(workers: int) -> str:
    return "one worker" if workers <= 1 else f"{workers} workers"
