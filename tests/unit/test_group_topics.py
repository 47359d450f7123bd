"""A member of the group that is no worker of this deployment."""

from __future__ import annotations

import pytest

from eventproc.group_topics import GroupTopics

OURS = GroupTopics("TRANSACTION", "eventproc.")
SEP24 = "eventproc.client.acme.sep24"


@pytest.mark.parametrize(
    ("subscribed", "strange"),
    [
        ({"TRANSACTION", "eventproc.callback-api", SEP24}, None),
        ({"TRANSACTION", "eventproc.client.other.sep6"}, None),
        ({"TRANSACTION"}, None),
        ({"TRANSACTION", "eventproc.b.callback-api"}, "reads eventproc.b.callback-api"),
        ({"TRANSACTION", "other.client.acme.sep24"}, "reads other.client.acme.sep24"),
        ({SEP24}, "does not read TRANSACTION"),
        (set(), "does not read TRANSACTION"),
        ({"TRANSACTION", "a", "b", "c", "d", "e"}, "reads a, b, c and 2 more"),
    ],
)
def test_a_subscription_is_a_worker_s_of_ours_or_not(subscribed: set[str], strange: str | None) -> None:
    assert OURS.strange_in(subscribed) == strange
