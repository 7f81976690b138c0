"""What the server asks of its process."""

from __future__ import annotations

import subprocess
import sys

import pytest

_ASK = """
import resource
from livetask.server.process import room_for
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
room_for({viewers})
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "viewers", "allowed", "warned"),
    [(64, 1000, 500, 800, False), (64, 1000, 5000, 1000, True), (900, 1000, 100, 900, False)],
    ids=["raised as far as needed", "raised as far as allowed", "left alone"],
)
def test_descriptors_are_raised_for_all_viewers_and_too_few_are_told(
    soft: int, hard: int, viewers: int, allowed: int, warned: bool
) -> None:
    command = [sys.executable, "-c", _ASK.format(soft=soft, hard=hard, viewers=viewers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=90)
    assert int(done.stdout) == allowed
    assert ("max_viewers = 5000" in done.stderr) is warned
