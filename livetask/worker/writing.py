"""The worker's way to Redis: calls of the scripts, many in one round trip, with no retry behind anybody's back.

A call's outcome may be unknown after an error; that is harmless, because every script can be called twice with the
same effect as once. Whoever calls decides when to try again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import NoScriptError, RedisError, ResponseError

from livetask.errors import RedisUnavailable
from livetask.scripts import NAMES, script
from livetask.worker.reaching import Reached, reached

Word = str | bytes | int

_OF_THE_SERVER = (
    *("OOM ", "READONLY", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK "),
    *("BUSY", "NOAUTH", "NOPERM", "WRONGPASS", "NOPROTO", "max number of clients", "NOSCRIPT"),
)
"""Words of errors that say how the whole server is. Within scripts old versions hand them on inside a longer text."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a script, or one plain command when ``script`` is ''. ``words``: its ARGV, or the command."""

    script: str
    keys: tuple[str, ...]
    words: tuple[Word, ...]

    def as_command(self) -> tuple[Word, ...]:
        if not self.script:
            return self.words
        return ("EVALSHA", script(self.script).sha, len(self.keys), *self.keys, *self.words)


class Writing:
    """A connection to the Redis at ``url``, opened when first needed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Reached | None = None

    def replies(self, calls: Sequence[Call]) -> list[Any]:
        """What Redis answers to each call, in order; a ResponseError where it finds that one call wrong.

        Raises RedisUnavailable if it serves nobody now; any call may have taken effect then.
        """
        try:
            answers = self._asked(calls)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                self._load_scripts()
                answers = self._asked(calls)
        except (RedisError, OSError, ValueError) as error:
            self.close()
            raise RedisUnavailable(_reason(error)) from None
        for answer in answers:
            # Read-only replica, loading, out of memory: the whole round is as good as unheard.
            if isinstance(answer, Exception) and not _is_of_one_call(answer):
                self.close()
                raise RedisUnavailable(_reason(answer))
        return answers

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _asked(self, calls: Sequence[Call]) -> list[Any]:
        if self._client is None:
            self._client = reached(self._url)
        return self._client.answers([call.as_command() for call in calls])

    def _load_scripts(self) -> None:
        assert self._client is not None
        for name in NAMES:
            self._client.load(script(name).text)


def _is_of_one_call(error: Exception) -> bool:
    """Whether only this call is wrong, because of what its keys hold say; the state of the server is another matter."""
    return type(error) is ResponseError and not any(word in str(error) for word in _OF_THE_SERVER)


def _reason(error: BaseException) -> str:
    kind = "" if isinstance(error, ResponseError) else f"{type(error).__name__}: "
    return f"{kind}{error}".splitlines()[0][:300]
