"""What a terminal shows of a followed task: output to stdout, everything about it to stderr, or all as JSON lines.

Must never know: the server, the connection, the clock.
"""

from __future__ import annotations

import codecs
import json
from typing import Any, BinaryIO, Protocol, TextIO

from livetask.client.escapes import Escapes, printable
from livetask.client.items import (
    CaughtUp,
    Gap,
    Item,
    Notice,
    Output,
    Reset,
    RunBegan,
    RunEnded,
    TaskChanged,
    TaskEnded,
)
from livetask.position import Cursor, Position


class Printer(Protocol):
    """Shows items. ``cursor``: after the last output that was shown, as far as there is one."""

    cursor: Cursor | None

    def show(self, item: Item) -> None:
        """Show one item. Blocks while the reader of stdout does not read; raises BrokenPipeError when it is gone."""


class TextPrinter:
    """Output as text. ``terminal``: colours stay; else no escape codes; ``raw``: the bytes exactly, whatever they are.

    ``out``: takes the output. ``notes``: takes gaps, ends and notices.
    """

    def __init__(self, out: BinaryIO, notes: TextIO, *, terminal: bool, raw: bool = False) -> None:
        self.cursor: Cursor | None = None
        self._out = out
        self._notes = notes
        self._raw = raw
        self._terminal = terminal and not raw
        self._escapes = Escapes(self._terminal)
        self._at_line_start = True

    def show(self, item: Item) -> None:
        """Show one item; see Printer."""
        match item:
            case Output():
                self._write(item.data if self._raw else self._escapes.take(item.data))
                self.cursor = _before(item.cursor, self._escapes.held)
            case RunBegan():
                self.cursor = item.cursor
                if item.cursor.run > 1:
                    why = f" ({item.run.why})" if item.run and item.run.why else ""
                    self._note(f"run {item.cursor.run}{why} begins")
            case Gap():
                self.cursor = item.cursor
                self._note(f"gap: {item.size_bytes} bytes, {item.lines} lines {item.reason}")
            case RunEnded():
                self._finish_run()
                if item.how != "SUCCESS":
                    self._note(f"run {item.cursor.run} ended: {item.how}{_reason(item)}")
            case Reset():
                self._finish_run()
                self.cursor = item.cursor
                self._note(f"what was shown of run {item.run} is not valid any more ({item.reason})")
            case TaskEnded():
                self._note(item.state)
            case Notice():
                self._note(item.text)
            case CaughtUp() | TaskChanged():
                pass

    def _finish_run(self) -> None:
        self._write(self._escapes.end() + (b"\x1b[0m" if self._terminal else b""))

    def _write(self, data: bytes) -> None:
        if data:
            self._out.write(data)
            self._out.flush()
            if data != b"\x1b[0m":
                self._at_line_start = data.removesuffix(b"\x1b[0m").endswith((b"\n", b"\r"))

    def _note(self, text: str) -> None:
        begin = "\n" if self._terminal and not self._at_line_start else ""
        self._at_line_start = True
        print(f"{begin}livetask: {printable(text)}", file=self._notes, flush=True)


class JsonPrinter:
    """Every item as one line of JSON, with the server's names. ``text`` has U+FFFD for what is no UTF-8.

    No character is cut: an unfinished one at the end of a piece comes with the next, and ``from`` and ``cursor`` are
    those of what the line holds.
    """

    def __init__(self, out: BinaryIO) -> None:
        self.cursor: Cursor | None = None
        self._out = out
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._from: Position | None = None
        self._end: Cursor | None = None

    def show(self, item: Item) -> None:
        """Show one item; see Printer."""
        if isinstance(item, Output):
            self._output(item)
            return
        if isinstance(item, Gap | RunEnded | Reset):
            self._flush()
        if isinstance(item, RunBegan | Gap | Reset):
            self.cursor = item.cursor
        self._line(**as_json(item))

    def _output(self, item: Output) -> None:
        start = self._from if self._from is not None else item.start
        text = self._decoder.decode(item.data)
        held = self._decoder.getstate()[0]
        shown = _before(item.cursor, held)
        self._from, self._end = (shown.position, item.cursor) if held else (None, None)
        if text:
            self._output_line(start, shown, text)
        elif held:
            self._from = start

    def _flush(self) -> None:
        text = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        if self._from is not None and self._end is not None:
            self._output_line(self._from, self._end, text)
        self._from = self._end = None

    def _output_line(self, start: Position, cursor: Cursor, text: str) -> None:
        self._line(event="output", run=cursor.run, **{"from": str(start)}, cursor=str(cursor), text=text)
        self.cursor = cursor

    def _line(self, **values: Any) -> None:
        self._out.write(json.dumps(values).encode() + b"\n")
        self._out.flush()


def as_json(item: Item) -> dict[str, Any]:
    """An item, which is no output, as JSON has it."""
    match item:
        case RunBegan():
            run = item.run.as_json() if item.run else None
            return {"event": "run", "run": item.cursor.run, "cursor": str(item.cursor), "info": run}
        case Gap():
            found = {"event": "gap", "run": item.cursor.run, "from": str(item.start), "cursor": str(item.cursor)}
            return found | {"bytes": item.size_bytes, "lines": item.lines, "reason": item.reason}
        case CaughtUp():
            return {"event": "caught_up", "run": item.cursor.run, "cursor": str(item.cursor)}
        case RunEnded():
            found = {"event": "end", "run": item.cursor.run, "cursor": str(item.cursor), "how": item.how}
            return found | {"detail": dict(item.detail), "verified": item.verified}
        case Reset():
            cursor = str(item.cursor) if item.cursor else None
            return {"event": "reset", "run": item.run, "cursor": cursor, "reason": item.reason}
        case TaskChanged():
            return {"event": "task", "task": item.task.as_json()}
        case TaskEnded():
            return {"event": "task_end", "state": item.state}
        case Notice():
            return {"event": "notice", "what": item.what, "text": item.text}
        case Output():
            raise TypeError("output is shown piece by piece")


def _before(cursor: Cursor, held: bytes) -> Cursor:
    """Where ``held`` begins, which ends at the cursor."""
    end = cursor.position
    start = Position(end.line - held.count(b"\n"), end.byte - len(held))
    return Cursor(cursor.run, cursor.nonce, start)


def _reason(item: RunEnded) -> str:
    """Why a run ended badly, as far as is known, in brackets."""
    detail = item.detail
    if text := detail.get("exception") or detail.get("reason") or detail.get("signal"):
        return f" ({text})"
    if detail.get("exit_code") is not None:
        return f" (exit status {detail['exit_code']})"
    if detail.get("limit_s") is not None:
        return f" (time limit of {detail['limit_s']} s)"
    return ""
