"""What looking for secrets costs the shipper, per line: ``python -m tests.bench.mask_cost``.

Reading a spool as it is sent, with nothing to hide, with the built-in formats, and with given texts besides; in one
interleaved run, user and system time of this process, best of many rounds.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from livetask.masking import Mask
from livetask.secret_formats import BUILT_IN
from livetask.worker.following import Following
from livetask.worker.spool import RunPaths

_LINES = 50_000
_ROUNDS = 7
_CHUNK_BYTES = 16 * 1024

TEXTS = {
    "plain lines": b"2026-01-02 03:04:05 INFO worker: step 1234 of 5678 took 0.123 s, 3 failed, 55 rows written\n",
    "lines with URLs": b"fetched https://example.org/a/b/c?page=17&size=100 in 0.113 s, status 200, 1234 bytes\n",
    "lines with a path": b'  File "/usr/lib/python3.11/site-packages/celery/app/trace.py", line 451, in trace_task\n',
    "lines with a UUID": b"[2026-01-02 03:04:05,123: INFO/Main] Task add[5f1c2a7e-0b1d-4c5e-9f00-1234567890ab] ok\n",
    "each with a key": b"2026-01-02 03:04:05 DEBUG call: Authorization: Bearer %s to somewhere near\n"
    % (b"abcdef0123" * 3),
}
MASKS: dict[str, Mask | None] = {
    "off": None,
    f"{len(BUILT_IN)} formats": Mask(),
    f"{len(BUILT_IN)} formats, 10 texts": Mask(texts=[f"a secret number {number} of ten" for number in range(10)]),
}


def read_us(paths: RunPaths, mask: Mask | None) -> float:
    """Microseconds of CPU for a line of a spool that is read from its begin to its end."""
    following = Following(paths, mask)
    began = time.process_time()
    while following.has_more(following.size):
        following.look()
        for _ in following.pieces(following.decided, _CHUNK_BYTES, 32):
            pass
    took = time.process_time() - began
    following.close()
    return took / _LINES * 1e6


def measure(directory: Path) -> dict[tuple[str, str], float]:
    """The least microseconds for a line, by (text, what is looked for)."""
    best: dict[tuple[str, str], float] = {}
    for number, (kind, line) in enumerate(TEXTS.items()):
        paths = RunPaths(directory, f"spool{number}")
        for _ in range(_ROUNDS):
            for name, mask in MASKS.items():
                Path(paths.of("out")).write_bytes(line * _LINES)  # each time, for secrets are overwritten in it
                best[kind, name] = min(best.get((kind, name), float("inf")), read_us(paths, mask))
    return best


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        best = measure(Path(directory))
    print("| a line of 100 bytes, µs | " + " | ".join(MASKS) + " |")
    print("| --- |" + " --- |" * len(MASKS))
    for kind in TEXTS:
        print(f"| {kind} | " + " | ".join(f"{best[kind, name]:.2f}" for name in MASKS) + " |")
    print("\nat most 1 µs more than off is wanted for ten formats; print_cost says what the task itself pays")


if __name__ == "__main__":
    main()
