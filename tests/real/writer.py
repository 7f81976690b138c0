"""A worker's writes without a worker: one run, written by the real scripts at the pace of a test."""

from __future__ import annotations

import json
import secrets
import string
import zlib
from typing import Any

import redis

from livetask.keys import Keys, bucket_of
from livetask.position import START, Gap, Position
from livetask.scripts import script

HOUR_MS = 3_600_000


class RunWriter:
    """Writes one run of one task. ``client``: any client of redis-py. ``cap_bytes``: how much Redis keeps.

    ``text``: all that was written; ``end``: the position after it.
    """

    def __init__(
        self,
        client: redis.Redis,
        task_id: str,
        *,
        prefix: str = "livetask",
        nonce: str = "",
        cap_bytes: int = 8 << 20,
        lease_ms: int = 20_000,
        name: str = "tests.writer",
    ) -> None:
        self.client = client
        self.task_id = task_id
        self.nonce = nonce or "".join(secrets.choice(string.ascii_lowercase) for _ in range(12))
        self.ordinal = 0
        self.end = START
        self.text = bytearray()
        self._name = name
        self._cap_bytes = cap_bytes
        self._lease_ms = lease_ms
        keys, bucket = Keys(prefix), bucket_of(task_id)
        self.task, self.output = keys.task(task_id), keys.output(task_id, self.nonce)
        self.bell, self.watched = keys.bell(bucket), keys.watched(bucket)
        self.alive, self.recent = keys.alive(bucket), keys.recent(bucket)

    def begin(self, why: str = "first", first: Position = START, first_why: str = "", runs_kept: int = 50) -> int:
        """Begin the run, or begin it again with the same ordinal after a flush; its ordinal."""
        task = json.dumps({"name": self._name, "queue": "celery"})
        run = json.dumps({"why": why, "host": "here", "pid": "42", "worker": "w1", "begun_at": "1700000000000"})
        answer = self._call(
            "begin", [self.task, self.alive, self.recent, self.bell, self.output],
            self.task_id, self.nonce, self.ordinal, str(first), first_why, HOUR_MS, self._lease_ms, 1000, runs_kept,
            task, run,
        )  # fmt: skip
        self.ordinal = answer[0]
        return self.ordinal

    def write(self, data: bytes, sgr: bytes = b"") -> None:
        """Append one entry."""
        at, end = self.end, self.end.after(data)
        assert self.append(at, data, sgr)[0] == "OK"
        self.text += data
        self.end = end

    def append(self, at: Position, data: bytes, sgr: bytes = b"") -> list[Any]:
        """Append an entry anywhere; the script's answer."""
        fields = ["d", data, "t", 1, *(["s", sgr] if sgr else [])]
        return self._append(at, at.after(data), fields)

    def heal(self) -> None:
        """Send again what Redis has lost, as a worker does from its spool."""
        answer = self.renew()
        if answer[0] == "NORUN":
            self.begin()
            answer = self.renew()
        assert answer[0] == "OK", answer
        at = Position.parse(answer[1])
        while at != self.end:
            part = bytes(self.text[at.byte : at.byte + 4096])
            assert self.append(at, part)[0] == "OK"
            at = at.after(part)

    def gap(self, lines: int, size_bytes: int, reason: str = "dropped") -> Gap:
        """Append an explicit gap."""
        start, end = self.end, Position(self.end.line + lines, self.end.byte + size_bytes)
        assert self._append(start, end, ["g", reason, "e", str(end), "t", 1])[0] == "OK"
        self.end = end
        return Gap(start, end, reason)

    def finish(self, how: str = "SUCCESS", state: str | None = None, detail: dict[str, Any] | None = None) -> list[Any]:
        """End the run at its final position."""
        crc = f"{zlib.crc32(self.text):08x}"
        return self._call(
            "finish", [self.task, self.output, self.alive, self.recent, self.bell],
            self.task_id, self.ordinal, self.nonce, str(self.end), how, json.dumps(detail or {}), crc, state or how,
            HOUR_MS, 1000, "0", "{}",
        )  # fmt: skip

    def renew(self) -> list[Any]:
        """Renew the lease."""
        keys = [self.task, self.output, self.alive, self.bell]
        return self._call("renew", keys, self.task_id, self.ordinal, self.nonce, self._lease_ms, HOUR_MS)

    def note(self, what: str, fields: dict[str, str]) -> list[Any]:
        """Note facts about the task."""
        keys = [self.task, self.recent, self.bell]
        return self._call("note", keys, self.task_id, what, HOUR_MS, 1000, json.dumps(fields))

    def _append(self, at: Position, end: Position, fields: list[Any]) -> list[Any]:
        keys = [self.task, self.output, self.bell, self.watched]
        known = (self.task_id, self.ordinal, self.nonce, str(at), str(end), self._cap_bytes, HOUR_MS)
        return self._call("append", keys, *known, *fields)

    def _call(self, name: str, keys: list[str], *args: Any) -> list[Any]:
        try:
            answer = self.client.evalsha(script(name).sha, len(keys), *keys, *args)
        except redis.exceptions.NoScriptError:
            answer = self.client.eval(script(name).text, len(keys), *keys, *args)
        return [part.decode() if isinstance(part, bytes) else part for part in answer]  # type: ignore[union-attr]
