"""How the tasks of this worker are called, written down for the shipper, which publishes it.

Made in the worker's main process once it takes tasks, when all of them are registered; read off the functions that
Celery will call, so that nothing is guessed. A task that cannot be read is published without parameters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from livetask.signature import TaskForm, form_of
from livetask.worker.spool import write_whole

FILE = "forms"
"""The file in the worker's directory."""

MOST_BYTES = 1024 * 1024
"""The most that one worker publishes; beyond it the docstrings go first, then the last tasks."""

_NAME_CHARACTERS = 255


def write_forms(app: Any, worker: str, directory: Path) -> None:
    """Write down the forms of the tasks of a Celery app. ``worker``: its name. Raises OSError."""
    forms = [form_of(app, task) for name, task in sorted(app.tasks.items()) if not name.startswith("celery.")]
    found = {"worker": worker, "tasks": packed(forms)}
    write_whole(str(directory / FILE), json.dumps(found).encode())


def packed(forms: Iterable[TaskForm], most_bytes: int = MOST_BYTES) -> str:
    """The forms as JSON, within the bound."""
    found = [form for form in forms if len(form.name) <= _NAME_CHARACTERS]
    text = _json(found)
    if len(text) > most_bytes:
        found = [replace(form, doc="") for form in found]
        text = _json(found)
    while len(text) > most_bytes:
        found = found[: len(found) // 2]
        text = _json(found)
    return text


def _json(forms: Iterable[TaskForm]) -> str:
    return json.dumps([form.as_json() for form in forms], separators=(",", ":"), sort_keys=True)
