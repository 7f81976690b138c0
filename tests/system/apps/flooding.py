"""A task that prints as fast as it can, and one that prints at its ease beside it."""

from __future__ import annotations

import os
import sys
import time

from tests.system.apps.flood_lines import LINE_BYTES, flood_line
from tests.system.apps.sixfold import app


@app.task(name="flooding.flood")
def flood(mebibytes: int) -> None:
    lines = (1 << 20) // LINE_BYTES
    for mebibyte in range(mebibytes):
        data = b"".join(flood_line(number) for number in range(mebibyte * lines, (mebibyte + 1) * lines))
        while data:
            data = data[os.write(1, data) :]


@app.task(name="flooding.steady")
def steady(lines: int) -> None:
    for number in range(lines):
        print(f"{number} {time.time():.3f}")
        sys.stdout.flush()
        time.sleep(0.05)
