"""Imported by a worker: from its first task on, its files cannot grow beyond a size, as on a disk that is full."""

from __future__ import annotations

import os
import resource

_SIZE = int(os.environ["SYSTEM_FILE_BYTES"])
resource.setrlimit(resource.RLIMIT_FSIZE, (_SIZE, _SIZE))
