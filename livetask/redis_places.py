"""Where Redis is, read from its URL: one server, several Sentinels that know the master, or a cluster.

| URL | means |
|---|---|
| redis://, rediss://, unix://, valkey://, valkeys://, redis+socket:// | one server |
| sentinel://[:password@]host:port,host:port[/service][/db] | the master that the Sentinels name |
| sentinel://host:port;sentinel://host:port[/db]?master_name=service | the same, as Celery writes it |
| redis+cluster://[user:password@]host:port,host:port, rediss+cluster:// | a cluster, found by any of its nodes |

Both halves read it here, so that one setting is understood in one way.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote, urlsplit

SCHEMES = (
    *("redis", "rediss", "unix", "redis+socket", "valkey+socket", "valkey", "valkeys"),
    *("sentinel", "redis+cluster", "rediss+cluster", "valkey+cluster", "valkeys+cluster"),
)
_SPELLINGS = {"valkey": "redis", "valkeys": "rediss", "redis+socket": "unix", "valkey+socket": "unix"}
_SENTINEL_PORT, _PORT = 26379, 6379
_KEYLESS = frozenset(("PING", "TIME", "INFO", "SCRIPT", "CONFIG", "CLIENT"))
_NO_PORT = "a port in it is no number; in a password, / ? # @ are written %2F %3F %23 %40"


@dataclass(frozen=True, slots=True)
class One:
    """One server. ``url``: as redis-py takes it."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Sentinels, (host, port) each, and the service whose master they name."""

    hosts: tuple[tuple[str, int], ...]
    service: str
    db: int = 0
    password: str | None = field(default=None, repr=False)
    username: str | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nodes of a cluster, (host, port) each, by which the others are found."""

    hosts: tuple[tuple[str, int], ...]
    password: str | None = field(default=None, repr=False)
    username: str | None = None
    tls: bool = False


def place_of(url: str) -> One | Sentinels | Cluster:
    """What the URL says. Raises ValueError, which says nothing of a password, if it cannot be read."""
    scheme, _, rest = url.partition("://")
    if scheme == "sentinel":
        return _sentinels(rest)
    if scheme.endswith("+cluster"):
        username, password, places = _login(rest.partition("?")[0])
        hosts = _hosts(places.partition("/")[0], _PORT)
        return Cluster(hosts, password, username, scheme.startswith(("rediss", "valkeys")))
    known = _SPELLINGS.get(scheme, scheme)
    if known == "unix":
        rest = rest.replace("virtual_host=", "db=")
    for word in ("CERT_REQUIRED", "CERT_OPTIONAL", "CERT_NONE"):
        rest = rest.replace(f"ssl_cert_reqs={word}", f"ssl_cert_reqs={word.removeprefix('CERT_').lower()}")
    if known != "unix":
        _check_one(f"{known}://{rest}")
    return One(f"{known}://{rest}")


def _check_one(url: str) -> None:
    """Raise ValueError for what would end in a traceback, or in database 0 in place of the one that was meant."""
    parts = urlsplit(url)
    try:
        parts.port  # noqa: B018 - read here, since it is looked at when it is read
    except ValueError:
        raise ValueError(_NO_PORT) from None
    if parts.path.strip("/") and not parts.path.strip("/").isdecimal():
        raise ValueError("its database is no number")


def broker_of(url: str) -> tuple[str, dict[str, str]] | None:
    """The same Redis as Celery's broker: its URL and transport options there; None for a cluster, which can be none."""
    place = place_of(url)
    if isinstance(place, Cluster):
        return None
    if isinstance(place, One):
        return url.replace("valkey", "redis", 1), {}
    login = f"{quote(place.username or '')}:{quote(place.password, safe='')}@" if place.password else ""
    urls = (f"sentinel://{login}{host}:{port}/{place.db}" for host, port in place.hosts)
    return ";".join(urls), {"master_name": place.service}


def _sentinels(rest: str) -> Sentinels:
    rest, _, query = rest.partition("?")
    places: list[str] = []
    username = password = None
    path = ""
    for one in rest.split(";"):
        user, word, place = _login(one.removeprefix("sentinel://"))
        username, password = user or username, word or password
        place, _, more = place.partition("/")
        places.append(place)
        path = more or path
    parts = [part for part in path.split("/") if part]
    db = int(parts.pop()) if parts and parts[-1].isdecimal() else 0
    service = parse_qs(query).get("master_name", parts[:1] or ["mymaster"])[0]
    return Sentinels(_hosts(",".join(places), _SENTINEL_PORT), service, db, password, username)


def _login(text: str) -> tuple[str | None, str | None, str]:
    """(user, password, what follows)."""
    login, _, rest = text.rpartition("@")
    user, _, password = login.partition(":")
    return unquote(user) or None, unquote(password) or None, rest


def _hosts(text: str, port: int) -> tuple[tuple[str, int], ...]:
    found = []
    for one in filter(None, text.split(",")):
        host, colon, number = one.rpartition(":") if not one.endswith("]") else (one, "", "")
        if colon and not number.isdecimal():
            raise ValueError(_NO_PORT)
        found.append((host.strip("[]"), int(number)) if colon else (one.strip("[]"), port))
    if not found:
        raise ValueError("the URL names no host")
    return tuple(found)


# ---------------------------------------------------------------- commands in a cluster


def key_of(command: Sequence[object]) -> str | None:
    """The key that says which node a command goes to; None if any will do."""
    name = str(command[0])
    if name in ("EVALSHA", "EVAL"):
        found = command[3]
    elif name == "XREAD":
        found = command[command.index("STREAMS") + 1]
    else:
        found = None if name in _KEYLESS else command[1]
    return found.decode() if isinstance(found, bytes) else None if found is None else str(found)


def one_stream_each(command: Sequence[object]) -> list[tuple[object, ...]]:
    """An XREAD of several streams as one of each: they lie in different slots. Any other command as it is."""
    if command[0] != "XREAD":
        return [tuple(command)]
    place = command.index("STREAMS") + 1
    head, names = command[:place], command[place:]
    half = len(names) // 2
    return [(*head, name, start) for name, start in zip(names[:half], names[half:], strict=True)]
