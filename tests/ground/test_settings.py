"""Settings: one order of places, no silent typing errors, no password in sight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from livetask.setting_errors import RedisUrlMissing, SettingInvalid, SettingUnknown
from livetask.settings import Settings, described, left_over, without_password


def test_flags_win_over_the_environment_and_that_over_the_app() -> None:
    conf = {"livetask_port": 1, "livetask_host": "a", "livetask_prefix": "app", "task_track_started": True}
    environ = {"LIVETASK_PORT": "2", "LIVETASK_HOST": "b", "HOME": "/root"}
    settings = Settings.load(conf, environ, {"port": 3, "host": None})
    assert (settings.port, settings.host, settings.prefix) == (3, "b", "app")


@pytest.mark.parametrize(
    ("conf", "found"),
    [
        ({"livetask_redis_url": "redis://own", "broker_url": "redis://broker"}, "redis://own"),
        ({"broker_url": "redis://broker", "result_backend": "redis://backend"}, "redis://broker"),
        ({"broker_url": "amqp://rabbit", "result_backend": "rediss://backend"}, "rediss://backend"),
        ({"broker_url": "sentinel://a;sentinel://b"}, "sentinel://a;sentinel://b"),
        ({"broker_url": "amqp://rabbit", "result_backend": "rpc://"}, ""),
        ({"broker_url": ["redis://a", "redis://b"]}, ""),
    ],
)
def test_the_redis_is_found_where_users_have_one(conf: dict[str, Any], found: str) -> None:
    assert Settings.load(conf).redis_url == found


def test_no_redis_at_all_says_what_to_do() -> None:
    with pytest.raises(RedisUrlMissing, match="set livetask_redis_url in the Celery app"):
        Settings.load({"broker_url": "amqp://rabbit"}).require_redis_url()


@pytest.mark.parametrize(
    ("source", "written", "hint"),
    [
        ({"conf": {"livetask_prt": 1}}, "livetask_prt", "livetask_port"),
        ({"environ": {"LIVETASK_PREFX": "x"}}, "LIVETASK_PREFX", "LIVETASK_PREFIX"),
        ({"flags": {"hots": "x"}}, "--hots", "host"),
    ],
)
def test_an_unknown_setting_is_an_error_that_names_the_nearest(source: Any, written: str, hint: str) -> None:
    with pytest.raises(SettingUnknown) as caught:
        Settings.load(**source)
    assert written in str(caught.value)
    assert hint in str(caught.value)


def test_settings_of_stirfried_that_were_left_over_are_told() -> None:
    assert left_over({"livetask_port": 1, "broker_url": "redis://broker"}) == ""
    told = left_over({"stirfried_redis_url": "redis://:secret@own", "stirfried_error_info": True})
    assert told.startswith("stirfried_error_info, stirfried_redis_url: livetask does not read")
    assert "secret" not in told


def test_variables_of_the_client_the_demo_and_the_tests_are_not_settings() -> None:
    others = {"LIVETASK_DEMO_X": "1", "LIVETASK_TEST_BROWSER": "/x", "LIVETASK_URL": "http://x", "LIVETASK_TOKEN": "t"}
    assert Settings.load({}, others) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "many"),
        ("port", 70000),
        ("port", True),
        ("flush_ms", 0),
        ("tee", "perhaps"),
        ("capture_level", "LOUD"),
        ("prefix", "a{b}"),
        ("available_tasks", [1]),
        ("available_tasks", "[1]"),
        ("available_tasks", "['a']"),
        ("redis_url", 5),
        ("redis_url", "amqp://rabbit"),
        ("redis_url", "redis://h:port/0"),
        ("redis_url", "redis://h/zero"),
        ("redis_url", "sentinel://"),
        ("redis_url", "redis+cluster://h:port"),
        ("lease_s", 10**12),
        ("archive_cap_bytes", 2**60),
        ("wide_window_bytes", -1),
        ("cors_allowed_origins", "example.org"),
        ("cors_allowed_origins", "https://example.org/"),
        ("cors_allowed_origins", "https://Example.org"),
        ("tls_key", "key.pem"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(SettingInvalid, match=name):
        Settings.load({f"livetask_{name}": value})


@pytest.mark.parametrize("url", ["redis://:geh#eim@h/0", "redis://:geh/eim@h:1/0", "redis+cluster://:geh/eim@h:x"])
def test_a_password_that_breaks_its_url_is_told_of_and_not_shown(url: str) -> None:
    with pytest.raises(SettingInvalid, match="%23") as caught:
        Settings.load({}, {"LIVETASK_REDIS_URL": url})
    assert caught.value.__cause__ is None
    assert "geh" not in str(caught.value)
    assert "eim" not in str(caught.value)


def test_origins_are_taken_as_browsers_tell_them() -> None:
    origins = ("*", "null", "https://example.org", "http://[::1]:8080", "chrome-extension://abcdef")
    assert Settings.load({"livetask_cors_allowed_origins": origins}).cors_allowed_origins == origins


def test_texts_from_the_environment_become_values() -> None:
    environ = {"LIVETASK_TEE": "off", "LIVETASK_AVAILABLE_TASKS": "a.*, b", "LIVETASK_CHUNK_BYTES": "4096"}
    settings = Settings.load({}, environ)
    assert (settings.tee, settings.available_tasks, settings.chunk_bytes) == (False, ("a.*", "b"), 4096)


@pytest.mark.parametrize("text", ["a.*,b", " a.* , b,", '["a.*", "b"]', ' ["a.*","b"] '])
def test_a_list_is_text_with_commas_or_json_as_the_readme_shows_its_default(text: str) -> None:
    assert Settings.load({}, {"LIVETASK_AVAILABLE_TASKS": text}).available_tasks == ("a.*", "b")


def test_options_of_the_socket_io_server_stand_beside_the_settings_and_those_that_break_a_promise_are_refused() -> None:
    settings = Settings.load({"socketio_serializer": "msgpack", "socketio_logger": False, "livetask_port": 1})
    assert (dict(settings.socketio), settings.port) == ({"serializer": "msgpack"}, 1)
    assert dict(Settings.load({}, {"LIVETASK_SOCKETIO": '{"ping_timeout": 9}'}).socketio) == {"ping_timeout": 9}
    refused = ["async_handlers", "client_manager", "namespaces", "cors_allowed_origins", "max_http_buffer_size", "json"]
    for name in refused:
        with pytest.raises(SettingInvalid, match=f"socketio_{name}"):
            Settings.load({f"socketio_{name}": True})
    with pytest.raises(SettingInvalid, match="socketio_logger: expected False"):
        Settings.load({"socketio_logger": True})
    with pytest.raises(SettingInvalid, match="'default' or 'msgpack'"):
        Settings.load({"socketio_serializer": "pickle"})
    with pytest.raises(SettingUnknown, match="did you mean socketio_ping_timeout"):
        Settings.load({"socketio_ping_timeot": 1})


def test_headers_are_mapped_whatever_their_case() -> None:
    settings = Settings.load({"livetask_header_task_map": {"mail": {"X_User": "user", "date": "when"}}})
    assert settings.header_task_map == (("mail", "x-user", "user"), ("mail", "date", "when"))
    for wrong in ("x", [1], {"mail": 1}, {"mail": {"a": 1}}, "[]"):
        with pytest.raises(SettingInvalid, match="header_task_map"):
            Settings.load({"livetask_header_task_map": wrong})


def test_no_password_is_shown() -> None:
    url = "redis://user:very-secret@host:1/0"
    assert without_password(url) == "redis://user:***@host:1/0"
    assert without_password("sentinel://:a/b@x:1;sentinel://:c@y:2") == "sentinel://:***@x:1;sentinel://:***@y:2"
    assert without_password("redis://:p@ss:wo@rd@host:1/0") == "redis://:***@host:1/0"
    assert "very-secret" not in repr(Settings.load({"livetask_redis_url": url}))


def test_every_setting_says_what_it_is_for() -> None:
    assert all(len(setting.meaning) > 10 for setting in described())


def test_the_table_of_settings_is_complete_and_the_readme_shows_rows_of_it() -> None:
    """An undocumented setting, or one whose default has changed, fails here."""
    checkout = Path(__file__).resolve().parents[2]
    page = (checkout / "docs" / "settings.md").read_text("utf-8")
    table = page.split("<!-- settings -->")[1].split("<!-- /settings -->")[0]
    rows = [f"| `{setting.name}` | `{setting.default}` | {setting.meaning} |" for setting in described()]
    assert table.strip().splitlines()[2:] == rows
    chapter = (checkout / "README.md").read_text("utf-8").split("\n## Settings\n")[1].split("\n## ")[0]
    shown = [line for line in chapter.splitlines() if line.startswith("| `")]
    assert shown
    assert [row for row in shown if row not in rows] == []
