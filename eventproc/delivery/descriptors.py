"""How many connections a worker may have open: a shell's 1,024 are few for a thousand wallets."""

from __future__ import annotations

import resource
from typing import Final

WANTED: Final = 65_536
"""As in deploy/systemd: with 2,500 destinations, some ten connections to each after a burst, and more."""


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files towards ``WANTED``, as far as the hard one goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
