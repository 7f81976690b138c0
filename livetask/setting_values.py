"""How the values that users write for settings are read: text from the environment, lists, objects, options.

Pure: no I/O, no clock. Must never know: which settings there are, and what they are for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from livetask.setting_errors import SettingInvalid, SettingUnknown

HeaderTaskMap = tuple[tuple[str, str, str], ...]
"""(name of a task, name of a header, name of the argument that is given its value)."""

Options = tuple[tuple[str, Any], ...]
"""(name of an option of the Socket.IO server, value)."""

_SOCKETIO_PASSED = (
    "serializer", "ping_interval", "ping_timeout", "cookie", "http_compression", "compression_threshold",
    "cors_credentials", "transports",
)  # fmt: skip
_SOCKETIO_REFUSED = {
    "async_handlers": "no value: a client's messages are answered in their order",
    "async_mode": "no value: livetask serves with aiohttp",
    "client_manager": "no value: events travel through livetask's own streams, which keep them",
    "namespaces": "no value: the API is in the default namespace",
    "always_connect": "no value: a client is known before it is told that it is connected",
    "json": "no value: packets are encoded once for all their viewers",
    "allow_upgrades": "no value: who polls must be able to change to a WebSocket",
    "monitor_clients": "no value: a viewer that is gone must be noticed",
    "logger": "False: its log would show what clients send",
    "engineio_logger": "False: its log would show what clients send",
    "max_http_buffer_size": "no value: livetask_inbound_bytes is that limit",
    "cors_allowed_origins": "no value: livetask_cors_allowed_origins is that list, for HTTP too",
}


FRAMING = re.compile(r"self|https?://(?:\*\.)?(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?:[0-9]{1,5}|\*))?")
"""Who may frame a page, as a policy of the browser can say it."""

ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^\s/?#@A-Z]+")
"""Whose pages may connect: an origin as browsers write it, in lower case and with nothing behind host and port."""

PATH_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
"""A path as links can begin with it: nothing in it needs to be quoted."""

HOST_NAME = re.compile(r"\*|(?:\*\.)?[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]+")
"""A name that a server may be asked for: no scheme, no port; ``*.`` before it means all below it."""


def converted(name: str, kind: Any, value: Any) -> Any:
    """The value of the setting ``name`` in its own type, ``kind``; text, as the environment has it, is read.

    Raises SettingInvalid, SettingUnknown.
    """
    if kind is bool:
        return _as_bool(name, value)
    if kind is int:
        return _as_int(name, value)
    if name == "header_task_map":
        return _as_header_map(name, value)
    if name == "role_map":
        return _as_pairs(name, value)
    if name == "socketio":
        return _as_options(name, value)
    if name == "rights":
        return tuple(as_object(name, value).items())
    if kind is str:
        if not isinstance(value, str):
            raise SettingInvalid(name, value, "text")
        return value
    return _as_texts(name, value)


def _as_texts(name: str, value: Any) -> tuple[str, ...]:
    """A list, or text that holds one: with commas, or as JSON, which the defaults in docs/settings.md look like."""
    found = value
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError):
            found = json.loads(value)
    elif isinstance(value, str):
        found = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(found, (list, tuple)) or not all(isinstance(part, str) for part in found):
        raise SettingInvalid(name, value, "a list of texts, as JSON or as one text with commas")
    return tuple(found)


def as_object(name: str, value: Any) -> dict[str, Any]:
    """A mapping, or JSON text that holds one. Raises SettingInvalid."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise SettingInvalid(name, value, "an object as JSON") from None
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise SettingInvalid(name, value, "an object")
    return dict(value)


def _as_header_map(name: str, value: Any) -> HeaderTaskMap:
    found = []
    for task, headers in as_object(name, value).items():
        for header, argument in as_object(name, headers).items():
            if not isinstance(argument, str):
                raise SettingInvalid(name, value, "{task: {header: argument}}")
            found.append((task, header.lower().replace("_", "-"), argument))
    return tuple(found)


def _as_pairs(name: str, value: Any) -> tuple[tuple[str, str], ...]:
    found = as_object(name, value)
    if not all(isinstance(text, str) for text in found.values()):
        raise SettingInvalid(name, value, "an object of texts")
    return tuple(found.items())


def _as_options(name: str, value: Any) -> Options:
    """The options that are passed on; raises SettingInvalid for one that would break what livetask promises."""
    found = as_object(name, value)
    for option, wanted in found.items():
        expected = _SOCKETIO_REFUSED.get(option)
        if expected is not None and not (expected.startswith("False") and wanted is False):
            raise SettingInvalid(f"socketio_{option}", wanted, expected)
        if expected is None and option not in _SOCKETIO_PASSED:
            close = get_close_matches(option, _SOCKETIO_PASSED, 1)
            raise SettingUnknown(f"socketio_{option}", f"socketio_{close[0]}" if close else None)
    if found.get("serializer", "default") not in ("default", "msgpack"):
        raise SettingInvalid("socketio_serializer", found["serializer"], "'default' or 'msgpack'")
    return tuple((option, wanted) for option, wanted in found.items() if option in _SOCKETIO_PASSED)


def _as_bool(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise SettingInvalid(name, value, "true or false")


def _as_int(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise SettingInvalid(name, value, "a whole number")
    try:
        return int(value)
    except ValueError:
        raise SettingInvalid(name, value, "a whole number") from None
