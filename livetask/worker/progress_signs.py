"""Progress that a task shows without knowing livetask: the bars that tqdm draws.

Pure: bytes in, values out.
"""

from __future__ import annotations

import re
from typing import Any

_TITLE = rb"(?:^|[\r\n ])(?:([^\r\n|]{0,80}): +)?"
_BAR = re.compile(_TITLE + rb" *\d{1,3}%\|[^|\r\n]*\| *([\d.]+)([kMGT]?)/([\d.]+)([kMGT]?) \[")
_TIMES = {b"": 1, b"k": 10**3, b"M": 10**6, b"G": 10**9, b"T": 10**12}


def progress_in(data: bytes) -> dict[str, Any] | None:
    """The progress that the last bar in ``data`` shows, None if there is no bar."""
    if b"%|" not in data:
        return None
    start = max(0, data.rfind(b"%|") - 100)
    bars = list(_BAR.finditer(data, start))
    if not bars:
        return None
    found = bars[-1]
    current, total = _number(found[2], found[3]), _number(found[4], found[5])
    info = found[1].decode("utf-8", "replace").strip() if found[1] else None
    return {"current": current, "total": total, "info": info}


def _number(digits: bytes, unit: bytes) -> float:
    try:
        value = float(digits) * _TIMES[unit]
    except ValueError:
        return 0
    return int(value) if value.is_integer() else value
