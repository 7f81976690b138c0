"""Which texts are secrets on this machine: the values of some environment variables, and what a callable gives.

They go to the shipper through its standard input, and are never written to a file.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from fnmatch import fnmatchcase

from livetask.setting_errors import SettingInvalid

LEAST_CHARACTERS = 8
"""A shorter value is rather a number or a switch than a secret, and would be hidden in much else."""

_MOST = 500
_MOST_BYTES = 256 * 1024


def texts_to_hide(names: tuple[str, ...], environ: Mapping[str, str], source: str) -> tuple[str, ...]:
    """The values of the variables whose names fit one of ``names``, and what ``source`` (``module:callable``) gives.

    Raises SettingInvalid if the callable is not there, fails, or gives anything but texts: without knowing what to
    hide, nothing is to be shown.
    """
    found = [
        value
        for name, value in environ.items()
        if len(value) >= LEAST_CHARACTERS and any(fnmatchcase(name, pattern) for pattern in names)
    ]
    texts = tuple(dict.fromkeys([*found, *(_given(source) if source else ())]))
    if len(texts) > _MOST or sum(map(len, texts)) > _MOST_BYTES:
        raise SettingInvalid("mask_with", f"{len(texts)} texts", f"at most {_MOST} texts to be hidden")
    return texts


def _given(source: str) -> list[str]:
    module, _, name = source.partition(":")
    try:
        given = list(getattr(importlib.import_module(module), name)())
    except Exception as error:
        kind = type(error).__name__  # its text might hold what is to be hidden
        raise SettingInvalid("mask_with", source, f"`module:callable` that can be called; it gave {kind}") from None
    if not all(isinstance(text, str) for text in given):
        raise SettingInvalid("mask_with", source, "a callable that gives texts")
    return given
