"""Imported by a worker after livetask: livetask's own functions fail at random once a file is there, and every time
once the same with ``.always`` is there.

All functions and methods of ``livetask.worker`` may fail, but for the outermost ones: those that Celery or the task
call directly and whose whole business is to let nothing through.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import pkgutil
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import livetask.worker

_FROM = Path(os.environ["SYSTEM_SABOTAGE_FROM"])
_ALWAYS_FROM = _FROM.with_suffix(".always")
_CHANCE = float(os.environ["SYSTEM_SABOTAGE"])
_chance = random.Random(int(os.environ.get("SYSTEM_SABOTAGE_SEED", "1")))

OUTERMOST_MODULES = ("livetask.worker.streams", "livetask.worker.guard", "livetask.worker.inheriting")
OUTERMOST = ("emit", "safe", "write_as_is", "stream", "current", "carried", "show_records", "put", "write", "_text")


class Sabotaged(Exception):
    """Raised in the middle of livetask."""


def spoilt(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which now and then fails before it has begun."""

    @functools.wraps(function)
    def failing(*args: Any, **kwargs: Any) -> Any:
        if (_chance.random() < _CHANCE and _FROM.exists()) or _ALWAYS_FROM.exists():
            raise Sabotaged(function.__qualname__)
        return function(*args, **kwargs)

    failing.__dict__["spoilt"] = True
    return failing


def spoil_all() -> int:
    """Spoil every function of livetask.worker that is loaded; returns how many."""
    modules = [
        importlib.import_module(f"livetask.worker.{found.name}")
        for found in pkgutil.iter_modules(livetask.worker.__path__)
    ]
    new: dict[int, Callable[..., Any]] = {}
    for module in modules:
        if module.__name__ in OUTERMOST_MODULES:
            continue
        for name, item in list(vars(module).items()):
            if getattr(item, "__module__", None) != module.__name__:
                continue
            if inspect.isclass(item):
                _spoil_class(item)
            elif inspect.isfunction(item) and _may_fail(name, item):
                new[id(item)] = spoilt(item)
    for module in modules:
        for name, item in list(vars(module).items()):
            if id(item) in new:
                setattr(module, name, new[id(item)])
    return len(new)


def _spoil_class(cls: type) -> None:
    for name, item in list(vars(cls).items()):
        if inspect.isfunction(item) and _may_fail(name, item) and not issubclass(cls, BaseException):
            setattr(cls, name, spoilt(item))


def _may_fail(name: str, function: Callable[..., Any]) -> bool:
    # guarded functions are wrappers: what is inside them is called by them and fails with them
    return name not in OUTERMOST and not hasattr(function, "__wrapped__") and not name.startswith("__")


print(f"sabotage: {spoil_all()} functions spoilt")
