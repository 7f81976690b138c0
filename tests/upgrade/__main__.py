"""``python -m tests.upgrade``: keep what this version stores, unless that is kept already."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from livetask.service.embedded import find_program
from tests.real.redis_servers import running_server
from tests.upgrade.frozen import current, freeze


def main() -> int:
    path = current()
    if path.exists():
        print(f"{path.name} is there: what was stored once is never written anew", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "redis").mkdir()
        with running_server(find_program().path, Path(place) / "redis") as server:
            asyncio.run(freeze(server.url, Path(place) / "archive")).write(path)
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
