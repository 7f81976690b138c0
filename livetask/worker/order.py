"""What the shipper is told when it is started: plain values, as JSON on its standard input.

No list of arguments, because every process of this machine can read those, and one of the values is the Redis URL.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from livetask.keys import Keys
from livetask.masking import Mask
from livetask.worker.terms import Terms


@dataclass(frozen=True, slots=True)
class Order:
    """The shipper's order; bytes, seconds and milliseconds as in the settings of the same names.

    ``directory``: where the runs lie. ``main_pid``: the worker's main process. ``tee``: show all on the old console.
    ``mask``: hide secrets of known formats. ``secrets``: texts to be hidden wherever they are.
    """

    directory: str
    main_pid: int
    redis_url: str
    prefix: str
    tee: bool
    flush_ms: int
    chunk_bytes: int
    run_cap_bytes: int
    spool_cap_bytes: int
    spool_host_cap_bytes: int
    keep_s: int
    lease_s: int
    recent_cap: int
    runs_kept: int
    events_kept: int
    mask: bool = False
    secrets: tuple[str, ...] = ()

    def as_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def parse(cls, data: str | bytes) -> Order:
        """Read what ``as_bytes`` wrote; ValueError or TypeError if it is something else."""
        return cls(**json.loads(data))

    @property
    def terms(self) -> Terms:
        """The part of it that concerns a run's way into Redis."""
        mask = Mask(formats=self.mask, texts=self.secrets)
        return Terms(
            keys=Keys(self.prefix),
            chunk_bytes=self.chunk_bytes,
            run_cap_bytes=self.run_cap_bytes,
            keep_ms=self.keep_s * 1000,
            lease_ms=self.lease_s * 1000,
            recent_cap=self.recent_cap,
            runs_kept=self.runs_kept,
            events_kept=self.events_kept,
            mask=None if mask.is_empty else mask,
        )
