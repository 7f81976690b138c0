"""Not an app: says how the process that imports it has begun, as JSON, and ends it with status 3."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

_OWN = ("livetask", "tests")

print(
    json.dumps(
        {
            "argv": sys.argv,
            "main": sys.modules["__main__"].__spec__ and sys.modules["__main__"].__spec__.name,
            "path": sys.path,
            "warnoptions": sys.warnoptions,
            "cwd": str(Path.cwd()),
            "environment": dict(os.environ),
            "leads": os.getsid(0) == os.getpid(),
            "files": sorted(int(fd.name) for fd in Path("/proc/self/fd").iterdir() if fd.exists()),
            "input": str(Path("/proc/self/fd/0").readlink()),
            "buffered": sys.stdout.line_buffering or sys.stdout.write_through,
            "interrupt": str(signal.getsignal(signal.SIGINT)),
            "blocked": sorted(map(str, signal.pthread_sigmask(signal.SIG_BLOCK, []))),
            "ours": sorted(name for name in sys.modules if name.partition(".")[0] in _OWN),
        }
    )
)
print("said", file=sys.stderr)
sys.exit(3)
