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

from livetask.hiding import SHOW_ALL, STARS, Hiding
from livetask.signature import TaskForm, form_of
from livetask.worker.small_files import write_whole

FILE = "forms"
"""The file in the worker's directory."""

MOST_BYTES = 1024 * 1024
"""The most that one worker publishes; beyond it the docstrings go first, then the last tasks."""

_NAME_CHARACTERS = 255


def write_forms(app: Any, worker: str, directory: Path, hiding: Hiding = SHOW_ALL) -> None:
    """Write down the forms of the tasks of a Celery app. ``worker``: its name. Raises OSError.

    ``hiding``: which defaults are not shown.
    """
    tasks = [task for name, task in sorted(app.tasks.items()) if not name.startswith("celery.")]
    forms = [_without_secrets(form_of(app, task), hiding) for task in tasks]
    found = {"worker": worker, "tasks": packed(forms)}
    write_whole(str(directory / FILE), json.dumps(found).encode())


def _without_secrets(form: TaskForm, hiding: Hiding) -> TaskForm:
    """The form without defaults that are secret; what is left out is as a default that JSON cannot hold."""
    parameters = form.parameters and tuple(
        replace(one, default=None, default_text=STARS)
        if one.default and (hiding.hides(one.name) or hiding.value(one.default) is not one.default)
        else replace(one, default_text=one.default_text and hiding.text(one.default_text))
        for one in form.parameters
    )
    return replace(form, parameters=parameters)


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
