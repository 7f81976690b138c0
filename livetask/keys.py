"""The names of everything livetask keeps in Redis, and which task ids may become part of a name.

All keys of a task share a hash tag, that of its bucket, so that every script touches one slot of a Redis Cluster and
one bell serves a bucket's tasks. The tags were chosen so that the 16 buckets lie evenly over the 16,384 slots: any
number of masters gets its share.

| key | type | holds |
|---|---|---|
| task | hash | what is known of a task and of each of its runs |
| output | stream | one run's output; the ID of an entry is the position of its first byte |
| events | stream | one run's events, for Stirfried's clients; the ID of an event is its number, ``<seq>-0`` |
| room | stream, capped | the events of all runs that are told to one room |
| room_mark | string | how many of a run's events its room has |
| bell | stream, capped | says which task has more; a hint, never the truth |
| watched | zset | tasks that some server watches, by the end of its lease |
| alive | zset | runs that have not ended, by the end of their worker's lease |
| recent | zset, capped | tasks by their last change of state |
| stops | stream, capped | wishes that a task stops: read by every worker, also by one that starts later |
| archiving | string, expires | which server moves a task's output to the archive now |
| retaining | string, expires | that a server has just taken away what the archive keeps no longer; in bucket 0 |
| publishers | zset | workers with the digest of what they publish, by the end of its lease; in bucket 0 |
| spools | hash, expires | how much the spools of each worker hold, with the end of its lease; in bucket 0 |
| forms | string, expires | how the tasks of such a worker are called; in bucket 0 |
| tokens, users | hash | who may come in, by id or name; secrets are hashed; in bucket 0 |
| session | string, expires | who has logged in, by the digest of what their browser holds; in bucket 0 |
| epochs | hash | how often a user has logged out everywhere; in bucket 0 |
| failures | string, expires | how many logins have failed of late, by name or address; in bucket 0 |
| secret | string | what cookies and links are signed with; in bucket 0 |
| shares, share | zset, string that expires | links that let their holders read one task; in bucket 0 |
| audit | stream, capped | what was done by whom; in bucket 0 |

Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from livetask.errors import ArgumentInvalid, TaskIdInvalid

FORMAT = "1"
"""The version of what is stored; every task hash carries it in its field ``format``."""

BUCKETS = 16

_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@=+~-]{0,199}")


def task_id_checked(task_id: object) -> str:
    """Return the task id unchanged if it may become part of a key and of an address, else raise TaskIdInvalid."""
    if not isinstance(task_id, str) or _TASK_ID.fullmatch(task_id) is None:
        raise TaskIdInvalid(task_id)
    return task_id


ROOM_CHARACTERS = 200


def room_checked(room: object) -> str:
    """Return the name of a room unchanged if it is 1 to 200 printable characters, else raise ArgumentInvalid."""
    if not isinstance(room, str) or not 0 < len(room) <= ROOM_CHARACTERS or not room.isprintable():
        raise ArgumentInvalid("room", room, f"the name of a room, 1 to {ROOM_CHARACTERS} printable characters")
    return room


def bucket_of(task_id: str) -> int:
    """The bucket of a task, or of a room, 0 to 15: the CRC-32 of its id modulo 16; any language can compute it."""
    return zlib.crc32(task_id.encode()) % BUCKETS


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of the keys under one prefix. ``prefix``: tells several livetasks on one Redis apart."""

    prefix: str = "livetask"

    def task(self, task_id: str) -> str:
        return self._in(bucket_of(task_id), f"task:{task_id}")

    def output(self, task_id: str, nonce: str) -> str:
        return self._in(bucket_of(task_id), f"output:{nonce}:{task_id}")

    def events(self, task_id: str, nonce: str) -> str:
        return self._in(bucket_of(task_id), f"events:{nonce}:{task_id}")

    def room(self, room: str) -> str:
        return self._in(bucket_of(room), f"room:{room}")

    def room_mark(self, room: str, nonce: str) -> str:
        return self._in(bucket_of(room), f"room_mark:{nonce}:{room}")

    def bell(self, bucket: int) -> str:
        return self._in(bucket, "bell")

    def watched(self, bucket: int) -> str:
        return self._in(bucket, "watched")

    def alive(self, bucket: int) -> str:
        return self._in(bucket, "alive")

    def recent(self, bucket: int) -> str:
        return self._in(bucket, "recent")

    def stops(self, bucket: int) -> str:
        return self._in(bucket, "stops")

    def archiving(self, task_id: str) -> str:
        return self._in(bucket_of(task_id), f"archiving:{task_id}")

    def retaining(self) -> str:
        return self._in(0, "retaining")

    def publishers(self) -> str:
        return self._in(0, "publishers")

    def spools(self) -> str:
        return self._in(0, "spools")

    def forms(self, digest: str) -> str:
        return self._in(0, f"forms:{digest}")

    def tokens(self) -> str:
        return self._in(0, "tokens")

    def users(self) -> str:
        return self._in(0, "users")

    def session(self, digest: str) -> str:
        return self._in(0, f"session:{digest}")

    def epochs(self) -> str:
        return self._in(0, "epochs")

    def failures(self, of: str) -> str:
        return self._in(0, f"failures:{of}")

    def secret(self) -> str:
        return self._in(0, "secret")

    def shares(self) -> str:
        return self._in(0, "shares")

    def share(self, share_id: str) -> str:
        return self._in(0, f"share:{share_id}")

    def audit(self) -> str:
        return self._in(0, "audit")

    def _in(self, bucket: int, rest: str) -> str:
        return f"{self.prefix}:{{{_TAGS[bucket]}}}:{rest}"


def alive_member(task_id: str, run: int, nonce: str) -> str:
    """The member of the alive set that stands for one run."""
    return f"{run}.{nonce}.{task_id}"


def alive_parsed(member: str) -> tuple[str, int, str]:
    """(task id, run ordinal, nonce) of a member of the alive set."""
    run, nonce, task_id = member.split(".", 2)
    return task_id, int(run), nonce


def publisher_member(digest: str, worker: str) -> str:
    """The member of the publishers that stands for one worker. ``digest``: of what it publishes, without a dot."""
    return f"{digest}.{worker}"


def publisher_parsed(member: str) -> tuple[str, str]:
    """(digest, worker) of a member of the publishers."""
    digest, _, worker = member.partition(".")
    return digest, worker


_TAGS = (
    "ms3",
    "mws",
    "pt6",
    "arf",
    "mb1",
    "eoi",
    "pe4",
    "acd",
    "gxm",
    "ou5",
    "c0h",
    "ky8",
    "gio",
    "qn",
    "ceb",
    "rc2",
)
