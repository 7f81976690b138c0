"""Every setting of livetask: its default, its unit, and why it is what it is.

A setting is looked for, in this order, in the flags of a command, in the environment (``LIVETASK_PORT``), and in the
configuration of the Celery app (``livetask_port``); the first that has it wins. An unknown name is an error with the
nearest known one, never silence. ``LIVETASK_URL`` and ``LIVETASK_TOKEN`` belong to the client, and names that
begin with ``LIVETASK_DEMO_`` or ``LIVETASK_TEST_`` to others: they are no settings.

Pure: it is given mappings and reads nothing itself.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, get_type_hints

from livetask.redis_places import SCHEMES, place_of
from livetask.setting_errors import RedisUrlMissing, SettingInvalid, SettingUnknown
from livetask.setting_values import FRAMING, HOST_NAME, ORIGIN, PATH_PREFIX, as_object, converted

KIB = 1024
MIB = 1024 * KIB

_MOST = 10**9
_MOST_BYTES = 2**50
"""No number is larger: of seconds that is 31 years, and clocks, sockets and Redis' scripts can still reckon with it."""

_NOT_SETTINGS = ("LIVETASK_DEMO_", "LIVETASK_TEST_", "LIVETASK_URL", "LIVETASK_TOKEN")
_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def _setting(
    default: Any, meaning: str, *, least: int | None = None, secret: bool = False, shown: str | None = None
) -> Any:
    metadata = {"meaning": meaning, "least": least, "secret": secret, "shown": shown}
    if isinstance(default, (list, dict)):
        raise TypeError("defaults are immutable")
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, checked. Made by ``Settings.load``; parts of livetask receive plain values from it."""

    redis_url: str = _setting(
        "",
        "Redis or Valkey, 6.2 or later; default: the broker or the result backend if it is one",
        secret=True,
    )
    prefix: str = _setting("livetask", "what the names of all keys begin with")

    capture: bool = _setting(True, "worker: record the output of tasks at all")
    capture_level: str = _setting("INFO", "worker: the least level of log records to show, whatever the console shows")
    tee: bool = _setting(True, "worker: the output also goes where it went before (container logs)")
    spool_dir: str = _setting(
        "", "worker: where spools lie; default: a directory of this user under the system's temporary one"
    )
    flush_ms: int = _setting(20, "worker: how long output may wait for more before it is sent, in ms", least=1)
    # with its head it must stay below 16 KiB: jemalloc rounds what is larger up to 20 (`python -m tests.bench.memory`)
    chunk_bytes: int = _setting(16 * KIB - 128, "worker: the most bytes in one entry", least=64)
    run_cap_bytes: int = _setting(8 * MIB, "worker: how much of a run's output Redis keeps, in bytes", least=64 * KIB)
    spool_cap_bytes: int = _setting(64 * MIB, "worker: how much of a run's output the spool keeps, in bytes", least=MIB)
    spool_host_cap_bytes: int = _setting(1024 * MIB, "worker: the same for all runs of one worker together", least=MIB)
    keep_s: int = _setting(24 * 3600, "how long a task is kept after its last end, in seconds", least=60)
    lease_s: int = _setting(
        20, "how long a run is believed to live without a sign from its worker, in seconds", least=2
    )
    runs_kept: int = _setting(50, "how many runs of one task are kept", least=1)
    recent_cap: int = _setting(10_000, "how many tasks the list holds", least=16)

    host: str = _setting("127.0.0.1", "server: the address to listen on")
    port: int = _setting(8400, "server: the port to listen on; 0 takes a free one", least=0)
    insecure: bool = _setting(
        False, "server: listen on an address that others reach although nobody is asked who they are"
    )
    auth: str = _setting(
        "",
        "server: who may come in. `required`: users and tokens; `module:callable`: whom that recognises; "
        "default: nobody is asked, and only this machine is listened to",
    )
    session_s: int = _setting(7 * 24 * 3600, "server: how long a login by a browser lasts, in seconds", least=60)
    login_failures: int = _setting(
        10, "server: how many logins may fail from one address in a quarter of an hour", least=1
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (), "server: addresses or networks of the reverse proxies whose headers are believed"
    )
    proxy_user_header: str = _setting(
        "", "server: the header in which a trusted proxy names the user, for example X-Remote-User"
    )
    proxy_role_header: str = _setting("", "server: the header in which it names the user's groups, with commas")
    role_map: tuple[tuple[str, str], ...] = _setting(
        (), "server: by a group of a proxy or of OpenID Connect, which role it means", shown="{}"
    )
    default_role: str = _setting(
        "viewer",
        "server: the role of who comes by a proxy or OpenID Connect and is in no group of role_map; empty: none",
    )
    oidc_issuer: str = _setting("", "server: log in by this provider of OpenID Connect, https://login.example.org")
    oidc_client_id: str = _setting("", "server: what the provider knows this livetask as")
    oidc_client_secret: str = _setting("", "server: the secret that goes with it; default: none", secret=True)
    oidc_scopes: tuple[str, ...] = _setting(("openid", "profile"), "server: what the provider is asked to tell")
    oidc_user_claim: str = _setting("preferred_username", "server: the claim that is the user's name; or email, or sub")
    oidc_role_claim: str = _setting("groups", "server: the claim with the user's groups, see role_map")
    public_metrics: bool = _setting(False, "server: /readyz and /metrics answer everyone")
    window_bytes: int = _setting(256 * KIB, "server: the most bytes under way to one viewer of one task", least=4 * KIB)
    wide_window_bytes: int = _setting(
        MIB,
        "server: the same for one who reads a long log as fast as it comes, while few do; 0: window_bytes holds",
        least=0,
    )
    heartbeat_ms: int = _setting(5000, "server: how often a viewer is told the end positions, in ms", least=100)
    poll_s: int = _setting(20, "server: how long a long poll waits for output, in seconds", least=1)
    sweep_s: int = _setting(15, "server: how often everything watched is looked at without a bell, in seconds", least=1)
    max_subscriptions: int = _setting(
        256, "server: how many tasks one viewer may follow at once, and how many rooms it may be in", least=1
    )
    max_viewers: int = _setting(10_000, "server: how many viewers one process accepts", least=1)
    inbound_bytes: int = _setting(32 * KIB, "server: the largest message or body from a client, in bytes", least=KIB)
    inbound_per_s: int = _setting(200, "server: how many messages a second one viewer may send", least=1)
    broker_timeout_s: int = _setting(5, "server: how long a call to Celery's broker may take, in seconds", least=1)
    available_tasks: tuple[str, ...] = _setting(
        (), "server: names of tasks that clients may start, globs allowed; empty: none"
    )
    error_info: bool = _setting(
        False, "both: events, acknowledgements and answers about failed tasks hold the error and its traceback"
    )
    sentinel_room: str = _setting("NO_EMIT", "both: the room whose tasks emit no events; that of tasks sent by HTTP")
    custom_rooms: bool = _setting(False, "server: clients may name the room that a task's events go to, and join rooms")
    header_task_map: tuple[tuple[str, str, str], ...] = _setting(
        (), "server: by task, which headers of a client become which arguments", shown="{}"
    )
    enable_http: bool = _setting(True, "server: tasks may be started, asked for and revoked under /task")
    enable_socketio: bool = _setting(True, "server: the same by Socket.IO, and events of tasks")
    enable_task_info: bool = _setting(True, "server: task_info and GET /task/ID")
    enable_revoke_task: bool = _setting(True, "server: revoke_task and DELETE /task/ID")
    events_kept: int = _setting(1000, "how many events of a run, and of a room, are kept", least=32)
    events_bytes: int = _setting(4 * MIB, "worker: how large the events of a run may be together", least=64 * KIB)
    socketio: tuple[tuple[str, Any], ...] = _setting(
        (), "server: options of the Socket.IO server; in the app also one by one, as socketio_*", shown="{}"
    )
    archive_dir: str = _setting(
        "", "server: the directory where output lives on that leaves Redis, shared by all servers; empty: nowhere"
    )
    archive_s3: str = _setting(
        "", "server: the same in S3, as s3://bucket/folder, with livetask[s3] installed; instead of a directory"
    )
    archive_after_s: int = _setting(60, "server: how long after its end a run is archived, in seconds", least=0)
    archive_step_bytes: int = _setting(
        MIB, "server: how much of a run that goes on is archived at once, in bytes", least=64 * KIB
    )
    archive_bytes_per_s: int = _setting(
        64 * MIB, "server: the most output that one server archives in a second, in bytes", least=MIB
    )
    archive_run_cap_bytes: int = _setting(
        1024 * MIB, "server: how much of one run the archive keeps, compressed, in bytes", least=MIB
    )
    archive_cap_bytes: int = _setting(
        10 * 1024 * MIB, "server: how much the archive keeps in all, compressed, oldest tasks go first", least=MIB
    )
    archive_keep_s: int = _setting(
        30 * 24 * 3600, "server: how long after its end the archive keeps a task, in seconds", least=60
    )
    rights: tuple[tuple[str, Any], ...] = _setting(
        (), "server: what roles of your own and single users may do, see docs/rights.md", shown="{}"
    )
    share_s: int = _setting(7 * 24 * 3600, "server: how long a share link may last, in seconds", least=60)
    audit_keep_s: int = _setting(90 * 24 * 3600, "server: how long it is kept who did what, in seconds", least=60)
    audit_cap: int = _setting(100_000, "server: how many entries of that are kept", least=100)
    show_arguments: bool = _setting(True, "worker: keep the arguments and the result of tasks (their repr, shortened)")
    hide_keys: tuple[str, ...] = _setting(
        (
            *("password", "passwd", "passphrase", "secret", "token", "api_key", "private_key", "secret_key"),
            *("access_key", "authorization", "cookie", "credentials"),
        ),
        "both: what names end with whose values are hidden in arguments, results and events; `db_password`, `apiKey`",
    )
    mask: bool = _setting(True, "both: hide secrets of known formats in output, errors, arguments and events")
    mask_env: tuple[str, ...] = _setting(
        ("*_PASSWORD", "*_SECRET", "*_SECRET_KEY", "*_TOKEN", "*_API_KEY", "PGPASSWORD"),
        "worker: environment variables whose values are hidden there too, globs allowed",
    )
    mask_with: str = _setting(
        "", "worker: `module:callable` that gives further texts to be hidden; called when the worker starts"
    )
    cors_allowed_origins: tuple[str, ...] = _setting((), "server: other origins whose pages may connect; empty: none")
    allowed_hosts: tuple[str, ...] = _setting(
        (), "server: names that it may be asked for, besides localhost and addresses; `*.example.org`, `*` for all"
    )
    starts_per_minute: int = _setting(
        1200, "server: how many tasks one caller may start in a minute, by whichever way; 0: any number", least=0
    )
    subscriptions_per_minute: int = _setting(
        6000, "server: how many logs one caller may begin to follow or download in a minute; 0: any number", least=0
    )
    searches_per_minute: int = _setting(
        1200,
        "server: how many searches one caller may make in a minute, of pieces of logs or of the archive; 0: any number",
        least=0,
    )
    logins_per_minute: int = _setting(
        20, "server: how many logins may be tried from one address in a minute; 0: any number", least=0
    )
    path_prefix: str = _setting("", "server: the path that a proxy serves it under, `/livetask`")
    tls_cert: str = _setting("", "server: the file of its certificate (PEM), to serve HTTPS without a proxy")
    tls_key: str = _setting("", "server: the file of the certificate's key; default: it lies in the same file")
    frame_ancestors: tuple[str, ...] = _setting(
        (), "server: origins whose pages may frame the pages under /embed/, `self` for its own; empty: none"
    )

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            least = item.metadata["least"]
            value = getattr(self, item.name)
            most = _MOST_BYTES if item.name.endswith("_bytes") else _MOST
            if least is not None and not least <= value <= most:
                raise SettingInvalid(item.name, value, f"a whole number of at least {least} and at most {most}")
        if self.redis_url:
            _check_redis_url(self.redis_url)
        if self.capture_level not in _LEVELS:
            raise SettingInvalid("capture_level", self.capture_level, f"one of {', '.join(_LEVELS)}")
        if not self.prefix or any(sign in self.prefix for sign in "{} \n"):
            raise SettingInvalid("prefix", self.prefix, "a name without braces and blanks")
        if self.archive_s3 and _S3.fullmatch(self.archive_s3) is None:
            raise SettingInvalid("archive_s3", self.archive_s3, "s3://bucket or s3://bucket/folder")
        if self.archive_s3 and self.archive_dir:
            raise SettingInvalid("archive_dir", self.archive_dir, "nothing, since archive_s3 is given")
        if not 0 <= self.port <= 65535:
            raise SettingInvalid("port", self.port, "0 to 65535")
        if self.proxy_user_header and not self.trusted_proxies:
            raise SettingInvalid("trusted_proxies", (), "the proxies that may send proxy_user_header, 10.0.0.5")
        if not PATH_PREFIX.fullmatch(self.path_prefix):
            raise SettingInvalid("path_prefix", self.path_prefix, "a path without a slash at its end, /livetask")
        for origin in self.frame_ancestors:
            if not FRAMING.fullmatch(origin):
                raise SettingInvalid("frame_ancestors", origin, "`self` or an origin, https://example.org")
        for origin in self.cors_allowed_origins:
            if not ORIGIN.fullmatch(origin):
                expected = "`*` or an origin as browsers tell it, https://example.org, without a path"
                raise SettingInvalid("cors_allowed_origins", origin, expected)
        if self.tls_key and not self.tls_cert:
            raise SettingInvalid("tls_cert", "", "the file of the certificate that tls_key belongs to")
        for name in self.allowed_hosts:
            if not HOST_NAME.fullmatch(name):
                raise SettingInvalid("allowed_hosts", name, "a name without scheme and port, example.org")

    def __repr__(self) -> str:
        shown = (
            f"{item.name}={_masked(value) if item.metadata['secret'] else value!r}"
            for item in dataclasses.fields(self)
            if (value := getattr(self, item.name)) != item.default
        )
        return f"Settings({', '.join(shown)})"

    @classmethod
    def load(
        cls,
        conf: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, Any] | None = None,
    ) -> Settings:
        """Make the settings from what users wrote.

        ``conf``: the Celery app's configuration or any mapping; only keys that begin with ``livetask_`` count, and
        ``broker_url`` and ``result_backend`` as places where a Redis may be found. ``environ``: the environment.
        ``flags``: values of a command's flags by setting name, None where a flag was not given.

        Raises SettingUnknown, SettingInvalid.
        """
        found: dict[str, Any] = {}
        for name, value in (conf or {}).items():
            if name.startswith("livetask_"):
                found[_known(name, name.removeprefix("livetask_"))] = value
        if options := {name[9:]: value for name, value in (conf or {}).items() if name.startswith("socketio_")}:
            found["socketio"] = {**as_object("socketio", found.get("socketio", {})), **options}
        for name, value in (environ or {}).items():
            if name.startswith("LIVETASK_") and not name.startswith(_NOT_SETTINGS):
                found[_known(name, name.removeprefix("LIVETASK_").lower())] = value
        for name, value in (flags or {}).items():
            if value is not None:
                found[_known(f"--{name.replace('_', '-')}", name)] = value
        found["redis_url"] = found.get("redis_url") or _redis_among(conf or {})
        kinds = get_type_hints(cls)
        return cls(**{name: converted(name, kinds[name], value) for name, value in found.items()})

    def require_redis_url(self) -> str:
        """The Redis URL, or RedisUrlMissing, which says how to give one."""
        if not self.redis_url:
            raise RedisUrlMissing()
        return self.redis_url


@dataclass(frozen=True, slots=True)
class Described:
    """One setting as the documents show it. ``default``: as text."""

    name: str
    default: str
    meaning: str


def described() -> list[Described]:
    """All settings, in order, for tables and help pages; the table in docs/settings.md is checked against it."""
    return [
        Described(item.name, item.metadata["shown"] or json.dumps(item.default), str(item.metadata["meaning"]))
        for item in dataclasses.fields(Settings)
    ]


def _check_redis_url(url: str) -> None:
    expected = "the URL of a Redis or Valkey server, redis://host:6379/0"
    if url.split(":", 1)[0] not in SCHEMES:
        raise SettingInvalid("redis_url", without_password(url), expected)
    try:
        place_of(url)
    except ValueError as error:
        raise SettingInvalid("redis_url", without_password(url), f"{expected} ({error})") from None


def _masked(secret: str) -> str:
    """A secret as it may be shown: a URL without its password, anything else not at all."""
    return without_password(secret) if "://" in secret else "***"


def left_over(conf: Mapping[str, Any]) -> str:
    """What to say of settings of Stirfried that the app's configuration still has and nobody reads, or ''."""
    old = sorted(str(name) for name in conf if str(name).startswith("stirfried_"))
    if not old:
        return ""
    return f"{', '.join(old)}: livetask does not read settings of Stirfried; begin their names with livetask_ instead"


def without_password(url: str) -> str:
    """The URL, or several of them, as they may be shown: with ``***`` in place of each password."""
    return re.sub(r"(://[^:@/;]*):[^;\s]*@", r"\1:***@", url)


def _redis_among(conf: Mapping[str, Any]) -> str:
    """The broker's URL if it is a Redis, else the result backend's, else ''."""
    for name in ("broker_url", "result_backend"):
        url = conf.get(name)
        if isinstance(url, str) and url.split(":", 1)[0] in SCHEMES:
            return url
    return ""


def _known(written: str, name: str) -> str:
    names = [item.name for item in dataclasses.fields(Settings)]
    if name in names:
        return name
    close = get_close_matches(name, names, 1)
    hint = written[: len(written) - len(name)] + close[0] if close else None
    raise SettingUnknown(written, hint.upper() if hint and written.isupper() else hint)
