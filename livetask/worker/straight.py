"""One connection to Redis over which commands are exchanged with little between the socket and the parser.

redis-py opens it: it finds the master, speaks TLS, logs in, chooses the database. From then on the bytes go straight
to hiredis, where redis-py's pipeline takes four times as long for a command; every entry passes here. Nothing is
tried again: a connection on which anything goes wrong is closed, and whoever asked is told.

Of redis-py it uses the connection's socket and its parser's table of errors, and what it makes of an answer;
``test_straight`` says when these have moved. Must never know: what is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import hiredis
import redis
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as TooLate

_SEND_BYTES = 64 * 1024
"""What is sent at once, of entries: the socket's patience holds for each such part."""

_READ_BYTES = 64 * 1024


class Line:
    """A connection of its own to where ``client`` points; opened when first needed. All methods block and raise
    redis-py's errors. Not for several threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._connection: Any = None
        self._reader: Any = None
        self._buffer = bytearray(_READ_BYTES)

    def exchange(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands together; their answers, and exceptions in their places."""
        try:
            self._open()
            self._connection.send_packed_command(list(_parts(commands)), check_health=False)
            answers = self._read(len(commands))
        except BaseException:
            self.close()
            raise
        return [self._made_of(answer, command) for answer, command in zip(answers, commands, strict=True)]

    def close(self) -> None:
        """Close it; the next exchange opens another one."""
        connection, self._connection, self._reader = self._connection, None, None
        if connection is not None:
            connection.disconnect()

    def _open(self) -> None:
        if self._connection is not None and self._is_stale():
            self.close()
        if self._connection is None:
            self._connection = self._client.connection_pool.make_connection()
            self._connection.connect()
            self._reader = hiredis.Reader(
                protocolError=InvalidResponse, replyError=self._connection._parser.parse_error
            )

    def _is_stale(self) -> bool:
        """Redis has closed it while nothing was asked, as one that was restarted; or it says what nobody asked."""
        try:
            return bool(self._connection.can_read())
        except (Unreachable, OSError):
            return True

    def _read(self, wanted: int) -> list[Any]:
        answers: list[Any] = []
        reader, socket = self._reader, self._connection._sock
        while len(answers) < wanted:
            answer = reader.gets()
            if answer is not False:
                answers.append(answer)
                continue
            try:
                size = socket.recv_into(self._buffer)
            except TimeoutError:
                raise TooLate("Redis did not answer in time") from None
            if not size:
                raise Unreachable("Redis closed the connection")
            reader.feed(self._buffer, 0, size)
        return answers

    def _made_of(self, answer: Any, command: Sequence[Any]) -> Any:
        """What redis-py makes of an answer; scripts' answers are as they come."""
        if command[0] == "EVALSHA" or isinstance(answer, Exception):
            return answer
        callback = self._client.response_callbacks.get(command[0])  # type: ignore[no-untyped-call]  # redis-py's
        return answer if callback is None else callback(answer)


def _parts(commands: Sequence[Sequence[Any]]) -> Iterator[bytes]:
    """The commands as Redis reads them, several together."""
    held: list[bytes] = []
    size = 0
    for command in commands:
        packed = hiredis.pack_command(tuple(command))
        held.append(packed)
        size += len(packed)
        if size >= _SEND_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
