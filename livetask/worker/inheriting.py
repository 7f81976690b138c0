"""Carrying the run along where Python does not: into threads, executors and child processes of a task.

Needed only where several tasks share a process (``ContextCapture``); elsewhere the whole process is the run's, and
children are but marked, so that they are found when the run is terminated. What is changed here acts within a run only:
outside one, each of the functions does exactly what it did before.
"""

from __future__ import annotations

import functools
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from livetask.worker.capture import Capture, ContextCapture
from livetask.worker.within import WITHIN

_STDOUT, _STDERR, _ENV = 4, 5, 10
"""Where Popen has these arguments when they are given by position, behind ``self`` and without it counted."""


def carry_runs(capture: ContextCapture) -> None:
    """Let threads, executors and child processes that a task starts belong to its run. To be called once."""
    _into_threads(capture)
    _into_executors(capture)
    _into_children(capture)


def mark_children(capture: Capture) -> None:
    """Let the children of a run carry its name in their environment. To be called once."""
    init = subprocess.Popen.__init__
    shared = isinstance(capture, ContextCapture)

    @functools.wraps(init)
    def init_marked(self: Any, *args: Any, **kwargs: Any) -> None:
        run = capture.current()
        if run is not None and len(args) <= _ENV:
            env = kwargs.get("env")
            if env is not None or shared:  # else the process' own environment has it
                kwargs["env"] = {**(os.environ if env is None else env), WITHIN: run.facts.nonce}
        init(self, *args, **kwargs)

    subprocess.Popen.__init__ = init_marked  # type: ignore[method-assign]


def _into_threads(capture: ContextCapture) -> None:
    start = threading.Thread.start

    @functools.wraps(start)
    def start_within(self: threading.Thread) -> None:
        run = capture.current()
        if run is not None:
            self.run = capture.carried(self.run, run)  # type: ignore[method-assign]
        start(self)

    threading.Thread.start = start_within  # type: ignore[method-assign]


def _into_executors(capture: ContextCapture) -> None:
    """An executor that tasks share has threads that were started by any of them: each call carries its own run."""
    submit: Any = ThreadPoolExecutor.submit

    @functools.wraps(submit)
    def submit_within(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        run = capture.current()
        return submit(self, fn if run is None else capture.carried(fn, run), *args, **kwargs)

    ThreadPoolExecutor.submit = submit_within  # type: ignore[method-assign]


def _into_children(capture: ContextCapture) -> None:
    """A child that would inherit the console gets the run's descriptor instead."""
    init = subprocess.Popen.__init__

    @functools.wraps(init)
    def init_within(self: Any, *args: Any, **kwargs: Any) -> None:
        run = capture.current()
        if run is not None:
            for name, place in (("stdout", _STDOUT), ("stderr", _STDERR)):
                if len(args) <= place and kwargs.get(name) is None:
                    kwargs[name] = run.spool.out_fd
        init(self, *args, **kwargs)

    subprocess.Popen.__init__ = init_within  # type: ignore[method-assign]
