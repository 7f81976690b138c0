"""The errors of settings: a branch of the tree in ``errors``, read by those who start livetask, never by its clients.

Pure: no I/O, no clock. Must never know: how settings are found and read.
"""

from __future__ import annotations

from livetask.errors import LivetaskError, shown


class SettingInvalid(LivetaskError):
    """A setting has a value that cannot be used. ``name``: as written by the user."""

    code = "setting_invalid"

    def __init__(self, name: str, value: object, expected: str) -> None:
        super().__init__(name, value, expected)
        self.name = name
        self.value = value
        self.expected = expected

    def __str__(self) -> str:
        return f"setting {self.name}: expected {self.expected}, got {shown(self.value)}"


class SettingUnknown(SettingInvalid):
    """There is no setting of this name. ``close``: the nearest one that exists, or None."""

    code = "setting_unknown"

    def __init__(self, name: str, close: str | None) -> None:
        super().__init__(name, None, "a known setting")
        self.close = close

    def __str__(self) -> str:
        hint = f"; did you mean {self.close}?" if self.close else ""
        return f"there is no setting {self.name}{hint}"


class RedisUrlMissing(SettingInvalid):
    """No Redis is configured, and the broker is none that livetask could use."""

    code = "redis_url_missing"

    def __init__(self) -> None:
        super().__init__("livetask_redis_url", None, "the URL of a Redis or Valkey server")

    def __str__(self) -> str:
        return (
            "livetask needs a Redis or Valkey server (6.2 or later) for its streams, and neither the broker nor the "
            "result backend is one: set livetask_redis_url in the Celery app, LIVETASK_REDIS_URL in the "
            "environment, or --redis-url, for example redis://localhost:6379/0"
        )
