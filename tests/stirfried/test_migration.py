"""The table of the migration is right, row by row; and one file configures Celery, livetask and Socket.IO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from livetask.server.engine import socketio_server
from livetask.setting_errors import SettingInvalid
from livetask.settings import Settings
from tests.server.serving import a_server
from tests.stirfried.conftest import Client, Place

_TEXT = (Path(__file__).resolve().parents[2] / "docs" / "migrating-from-stirfried.md").read_text("utf-8")
_TABLE = _TEXT.split("<!-- rows -->")[1].split("<!-- /rows -->")[0]
ROWS = [tuple(cell.strip() for cell in line.strip("| ").split("|")) for line in _TABLE.strip().splitlines()[2:]]

VALUES: dict[str, tuple[Any, Any]] = {
    "enable_http": (False, False),
    "enable_socketio": (False, False),
    "enable_task_info": (False, False),
    "enable_revoke_task": (False, False),
    "redis_url": ("redis://here", "redis://here"),
    "available_tasks": (["a", "b.*"], ("a", "b.*")),
    "error_info": (True, True),
    "sentinel_room": ("NOBODY", "NOBODY"),
    "custom_rooms": (True, True),
    "header_task_map": ({"mail": {"Date": "date"}}, (("mail", "date", "date"),)),
    "cors_allowed_origins": (["https://a"], ("https://a",)),
    "inbound_bytes": (5000, 5000),
}
OPTIONS: dict[str, Any] = {
    "serializer": "msgpack",
    "ping_interval": 7,
    "ping_timeout": 9,
    "cookie": "io",
    "http_compression": False,
    "compression_threshold": 99,
    "cors_credentials": False,
    "transports": ["websocket"],
}


@pytest.mark.parametrize(("old", "new", "differs"), ROWS, ids=[row[0].strip("`") for row in ROWS])
def test_a_row_of_the_table_is_true(old: str, new: str, differs: str) -> None:
    old, new = old.strip("`"), new.strip("`")
    if new.startswith("livetask_"):
        value, found = VALUES[new.removeprefix("livetask_")]
        assert getattr(Settings.load({new: value}), new.removeprefix("livetask_")) == found
        if old.startswith("socketio_"):
            with pytest.raises(SettingInvalid, match=new):
                Settings.load({old: value})
    elif new.startswith("socketio_"):
        assert old == new
        value = OPTIONS[old.removeprefix("socketio_")]
        given = dict(Settings.load({old: value}).socketio)
        assert given == {old.removeprefix("socketio_"): value}
        server = socketio_server((), 1000, 10, given)
        if old == "socketio_serializer":
            assert server.packet_class.__name__ == "EitherPacket"
        else:
            assert getattr(server.eio, old.removeprefix("socketio_")) == value
    else:
        with pytest.raises(SettingInvalid, match=old):
            Settings.load({old: True})
        if new == "only `False":
            assert Settings.load({old: False}).socketio == ()


def test_the_table_has_every_setting_of_stirfried_and_every_option_that_livetask_knows() -> None:
    from livetask.setting_values import _SOCKETIO_PASSED, _SOCKETIO_REFUSED

    old = {row[0].strip("`") for row in ROWS}
    assert {name for name in old if name.startswith("socketio_")} == {
        f"socketio_{name}" for name in (*_SOCKETIO_PASSED, *_SOCKETIO_REFUSED)
    }
    assert len([name for name in old if name.startswith("stirfried_")]) == 10


async def test_a_settings_file_alone_serves_a_fleet_of_workers_by_the_names_of_their_tasks(place: Place) -> None:
    command = ("-m", "celery", "--config", "tests.stirfried.tasks_settings", "livetask")
    async with a_server(command=command, **place.environ) as server, Client(server.url) as client:
        task_id = await client.send("add", 20, 22)
        assert dict(await client.until(task_id))["on_success"]["retval"] == 42
