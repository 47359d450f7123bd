from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from eventproc.delivery.descriptors import WANTED

SCRIPT = """
import resource, sys
from eventproc.delivery.descriptors import raise_descriptor_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
raise_descriptor_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""
HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
MOST = WANTED if HARD == resource.RLIM_INFINITY else min(WANTED, HARD)


@pytest.mark.parametrize(
    ("soft", "hard", "raised"), [(256, 512, 512), (512, 512, 512), (256, HARD, MOST), (MOST, HARD, MOST)]
)
def test_the_soft_limit_goes_up_and_the_hard_one_stays(soft: int, hard: int, raised: int) -> None:
    command = [sys.executable, "-c", SCRIPT, str(soft), str(hard)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
    assert told.split() == [str(raised), str(hard)]
