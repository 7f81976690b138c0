"""Log records in a run's output, without making the console louder, and without saying anything twice.

A handler of our own on the root logger and on ``celery.task`` (which does not propagate) writes records into the run.
Celery's default level hides ``info``; to see it here, the loggers' level is lowered and the level of the handlers that
were there is raised to the old one. Handlers that write to the console go on writing to it while file descriptors 1
and 2 belong to a run. Celery's ``setup_logging`` signal is never connected: a receiver switches Celery's logging off.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

from celery.utils.log import LoggingProxy

from livetask.worker.capture import Capture, FdCapture
from livetask.worker.guard import blunder, is_for_task
from livetask.worker.streams import SpoolRaw, SpoolText

FORMAT = "[%(asctime)s: %(levelname)s/%(name)s] %(message)s"

_SILENT = ("livetask", "celery.app.trace", "celery.worker", "celery.redirected", "celery.pool")
"""Loggers that speak about the task, not in it; the state of the run says the same. But the traceback with which
``celery.app.trace`` reports a failure is what people look for at the end of a log."""

_LOGGERS = (None, "celery.task")


class RecordHandler(logging.Handler):
    """Writes records into the run in which they are made. ``mark``: keep them from the console, which has its own."""

    def __init__(self, capture: Capture, level: int, mark: bool) -> None:
        super().__init__(level)
        self._capture = capture
        self._mark = mark
        self.setFormatter(logging.Formatter(FORMAT))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            run = self._capture.current()
            if run is not None and not _is_silent(record):
                run.write_record(f"{self.format(record)}\n".encode("utf-8", "backslashreplace"), self._mark)
        except Exception as error:
            if is_for_task(error):
                raise
            blunder("a log record could not be written to the spool", error)


def show_records(capture: Capture, level_name: str, mark: bool) -> None:
    """Let log records of at least that level be shown. To be called once in each process that runs tasks."""
    level = logging.getLevelNamesMapping()[level_name]
    handler = RecordHandler(capture, level, mark)
    if isinstance(capture, FdCapture):
        _keep_console(capture)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        old = logger.getEffectiveLevel()
        if level < old:
            for other in logger.handlers:
                other.setLevel(max(other.level, old))
            logger.setLevel(level)
        logger.addHandler(handler)
    _unmangle_prints(capture)


def _keep_console(capture: FdCapture) -> None:
    """Point the loggers' console handlers at what descriptors 1 and 2 were before a run took them."""
    consoles = {
        fd: SpoolText(SpoolRaw(kept, mask=capture.mask)) for fd, kept in zip((1, 2), capture.console, strict=True)
    }
    for name in (*_LOGGERS, "celery", "celery.redirected"):
        for handler in logging.getLogger(name).handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                fd = _descriptor(handler.stream)
                if fd in consoles:
                    handler.setStream(consoles[fd])


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None


def _unmangle_prints(capture: Capture) -> None:
    """Code may have kept Celery's stand-in for sys.stdout, which makes a record of every piece that is written."""
    write = LoggingProxy.write

    def write_as_is(self: LoggingProxy, data: str) -> int:
        stream = capture.stream()
        return stream.write(data) if stream is not None and isinstance(data, str) else write(self, data) or 0

    LoggingProxy.write = write_as_is  # type: ignore[method-assign, assignment]


def _is_silent(record: logging.LogRecord) -> bool:
    name = record.name
    if name == "celery.app.trace" and record.levelno >= logging.ERROR:
        return False
    return name.startswith(_SILENT) and any(name == part or name.startswith(f"{part}.") for part in _SILENT)


def console_file() -> str:
    """The path of the file into which Celery redirects what tasks print, '' if that is the console."""
    handlers = logging.getLogger().handlers
    files = [handler.baseFilename for handler in handlers if isinstance(handler, logging.FileHandler)]
    return files[0] if files and isinstance(sys.stdout, LoggingProxy) else ""
