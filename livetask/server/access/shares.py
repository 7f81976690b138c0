"""Share links: who holds one may read the log of one task, without an account, until the link is over or revoked.

A link's secret is ``<id>.<until>.<mac>``: signed, so that a made-up one is refused without a look at Redis, and good
only as long as its record is there, so that it can be revoked. It travels behind the ``#`` of an address: browsers send
that part to no server, so it stands in no log of a proxy and in no Referer; the page takes it from there and presents
it in a header, which pages of other origins cannot make a browser send. As there is no cookie, a link opens in a frame
of another site too, and opening it logs nobody out.

It may view the task and have its log as a file, and nothing else; see ``sight`` for what it is not shown even of that.

Must never know: HTTP, Socket.IO, tasks.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from livetask.errors import TooMany
from livetask.keys import Keys
from livetask.server.access.caller import NOBODY, Caller, Right
from livetask.server.access.presented import Presented
from livetask.server.answers import text_of

Ask = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]
Key = Callable[[str], Awaitable[bytes]]
"""Gives the key of a purpose."""

MOST = 10_000
"""How many links there may be at once."""

_ID_BYTES, _MAC_BYTES = 9, 18
_MOST_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Share:
    """A link, without its secret. ``by``: who made it. ``made_at``, ``until``: wall clock in ms."""

    id: str
    task_id: str
    by: str
    made_at: int
    until: int

    @property
    def caller(self) -> Caller:
        """Who holds it."""
        right = Right(frozenset({"view", "download"}), task_ids=(self.task_id,))
        return Caller(f"link {self.id}", "share", "", (right,), self.id)


class Shares:
    """See the module's docstring. ``ask``: sends commands to Redis. ``key``: the server's secret, by purpose.

    Raises RedisUnavailable.
    """

    def __init__(self, ask: Ask, keys: Keys, key: Key) -> None:
        self._ask = ask
        self._keys = keys
        self._key = key

    async def make(self, task_id: str, by: str, lasts_s: int) -> tuple[Share, str]:
        """A new link and its secret, which is not kept. Raises TooMany."""
        now_ms = int(time.time() * 1000)
        # whole seconds, since that is what is signed
        share = Share(_text(secrets.token_bytes(_ID_BYTES)), task_id, by, now_ms, (now_ms // 1000 + lasts_s) * 1000)
        _, count = await self._ask(
            [("ZREMRANGEBYSCORE", self._keys.shares(), "-inf", now_ms), ("ZCARD", self._keys.shares())]
        )
        if int(count) >= MOST:
            raise TooMany("share links", MOST)
        secret = await self._secret_of(share.id, share.until // 1000)
        lasts_ms = share.until - now_ms
        await self._ask(
            [
                ("SET", self._keys.share(share.id), json.dumps(asdict(share)), "PX", lasts_ms),
                ("ZADD", self._keys.shares(), share.until, share.id),
            ]
        )
        return share, secret

    async def listed(self) -> list[Share]:
        """All links that are not over, the last made first."""
        now_ms = int(time.time() * 1000)
        (ids,) = await self._ask([("ZRANGEBYSCORE", self._keys.shares(), f"({now_ms}", "+inf")])
        texts = await self._ask([("GET", self._keys.share(text_of(one))) for one in ids]) if ids else []
        found = [share for text in texts if (share := _read(text)) is not None]
        return sorted(found, key=lambda share: -share.made_at)

    async def one(self, share_id: str) -> Share | None:
        """The link of that id, if it is not over."""
        (text,) = await self._ask([("GET", self._keys.share(share_id))])
        return _read(text)

    async def revoke(self, share_id: str) -> None:
        """End a link. Who reads by it is put out when it is looked at again."""
        await self._ask([("DEL", self._keys.share(share_id)), ("ZREM", self._keys.shares(), share_id)])

    async def opened(self, secret: str) -> Share | None:
        """The link of that secret; None if it is none, over, or revoked."""
        share_id, _, rest = secret.partition(".")
        until = rest.partition(".")[0]
        if len(secret) > _MOST_CHARACTERS or not (until.isascii() and until.isdecimal()) or not _is_text(share_id):
            return None
        expected = await self._secret_of(share_id, int(until))
        if not hmac.compare_digest(expected.encode(), secret.encode()) or int(until) <= time.time():
            return None
        share = await self.one(share_id)
        return share if share is not None and share.until == int(until) * 1000 else None

    async def way(self, presented: Presented) -> Caller | None:
        """The way to be recognised by a link; see gate."""
        secret = secret_of(presented)
        if not secret:
            return None
        share = await self.opened(secret)
        return NOBODY if share is None else share.caller

    async def _secret_of(self, share_id: str, until_s: int) -> str:
        head = f"{share_id}.{until_s}"
        mac = hmac.digest(await self._key("share"), head.encode(), hashlib.sha256)
        return f"{head}.{_text(mac[:_MAC_BYTES])}"


def secret_of(presented: Presented) -> str:
    """The secret of a link that was presented, '' if none was: ``Authorization: Share``, or ``{share}`` of a socket."""
    given = presented.auth.get("share", "")
    if given:
        return given
    values = presented.headers.get("authorization", ())
    scheme, _, secret = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return secret.strip() if scheme.lower() == "share" else ""


def _read(text: bytes | None) -> Share | None:
    if text is None:
        return None
    try:
        return Share(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _is_text(share_id: str) -> bool:
    """Whether it can be the id of a link, and so become part of a key."""
    try:
        return len(base64.urlsafe_b64decode(share_id.encode())) == _ID_BYTES
    except (ValueError, binascii.Error):
        return False
