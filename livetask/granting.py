"""The commands that say who may come in: ``livetask token`` and ``livetask user``.

They stand under ``livetask`` and under ``celery -A proj livetask``, and write into livetask's Redis themselves: whoever
can reach that may do everything anyway, so they ask for no login, and they work before any server runs. What they do
is loaded when one of them is called.

Must never know: how a server is asked, the worker's code.
"""

from __future__ import annotations

import asyncio
import getpass
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from livetask.access_errors import PasswordsDiffer
from livetask.errors import LivetaskError
from livetask.setting_errors import SettingInvalid

if TYPE_CHECKING:
    from livetask.server.access.tokens import Tokens
    from livetask.server.access.users import Users

Command = TypeVar("Command", bound=Callable[..., Any])
Do = Callable[["Tokens", "Users"], Awaitable[None]]

_REDIS_S = 5.0

ROLE_HELP = "viewer, operator, admin, or a role of your own from the setting rights."


@click.group(name="livetask")
def commands() -> None:
    """Say who may come in."""


def main(argv: Sequence[str]) -> None:
    """Run one of the commands. ``argv``: its words, the command's name first. Ends by SystemExit."""
    commands.main(args=list(argv), prog_name="livetask")


def _on_redis(function: Command) -> Command:
    """The options that say whose tokens and users are meant; under celery the app says it."""
    app = click.option("-A", "--app", metavar="MODULE[:ATTR]", help="The Celery app that livetask serves.")
    url = click.option("--redis-url", metavar="URL", help="livetask's Redis; default: as for the server.")
    prefix = click.option("--prefix", metavar="NAME", help="What the names of its keys begin with.")
    return cast(Command, app(url(prefix(click.pass_context(function)))))


@commands.group("token")
def token() -> None:
    """Tokens for programs and terminals."""


@token.command("new")
@click.argument("name", metavar="NAME")
@click.option("--role", default="viewer", show_default=True, metavar="ROLE", help=ROLE_HELP)
@click.option("--days", type=click.IntRange(1), metavar="N", help="How long it holds; default: until it is revoked.")
@_on_redis
def new_token(ctx: click.Context, name: str, role: str, days: int | None, **place: str | None) -> None:
    """Make a token and print it, this once."""

    async def do(tokens: Tokens, _: Users) -> None:
        text, made = await tokens.make(name, role, days)
        print(text)
        until = f", until {_day(made.expires_at_s)}" if made.expires_at_s else ""
        _say(f"token {made.token_id} of {name}, {role}{until}; it is not shown again")

    _do(ctx, place, do)


@token.command("ls")
@_on_redis
def list_tokens(ctx: click.Context, **place: str | None) -> None:
    """List the tokens, without their secrets."""

    async def do(tokens: Tokens, _: Users) -> None:
        now_s = time.time()
        rows = [("ID", "NAME", "ROLE", "MADE", "EXPIRES")]
        for one in await tokens.all():
            ends = "never" if not one.expires_at_s else _day(one.expires_at_s)
            rows.append((one.token_id, one.name, one.role, _day(one.made_at_s), ends))
            if one.has_expired(now_s):
                rows[-1] = (*rows[-1][:4], f"{ends} (over)")
        _print_table(rows)

    _do(ctx, place, do)


@token.command("revoke")
@click.argument("token_id", metavar="ID")
@_on_redis
def revoke_token(ctx: click.Context, token_id: str, **place: str | None) -> None:
    """Take a token back; who uses it is out within a minute."""

    async def do(tokens: Tokens, _: Users) -> None:
        await tokens.revoke(token_id)
        _say(f"token {token_id} is revoked")

    _do(ctx, place, do)


@commands.group("user")
def user() -> None:
    """Users, who log in with a password."""


@user.command("new")
@click.argument("name", metavar="NAME")
@click.option("--role", default="viewer", show_default=True, metavar="ROLE", help=ROLE_HELP)
@_on_redis
def new_user(ctx: click.Context, name: str, role: str, **place: str | None) -> None:
    """Make a user; the password is asked for, or read from a pipe."""

    async def do(_: Tokens, users: Users) -> None:
        await users.make(name, role, _password())
        _say(f"user {name}, {role}")

    _do(ctx, place, do)


@user.command("passwd")
@click.argument("name", metavar="NAME")
@_on_redis
def change_password(ctx: click.Context, name: str, **place: str | None) -> None:
    """Give a user another password, and end all its sessions."""

    async def do(_: Tokens, users: Users) -> None:
        await users.change_password(name, _password())
        _say(f"user {name} has another password, and is logged out everywhere")

    _do(ctx, place, do)


@user.command("ls")
@_on_redis
def list_users(ctx: click.Context, **place: str | None) -> None:
    """List the users."""

    async def do(_: Tokens, users: Users) -> None:
        found = [(one.name, one.role, _day(one.made_at_s)) for one in await users.all()]
        _print_table([("NAME", "ROLE", "MADE"), *found])

    _do(ctx, place, do)


@user.command("rm")
@click.argument("name", metavar="NAME")
@_on_redis
def remove_user(ctx: click.Context, name: str, **place: str | None) -> None:
    """Remove a user, and end all its sessions."""

    async def do(_: Tokens, users: Users) -> None:
        await users.remove(name)
        _say(f"user {name} is removed")

    _do(ctx, place, do)


def _do(ctx: click.Context, place: dict[str, str | None], do: Do) -> None:
    """Run a command on the Redis that is meant; what livetask refuses becomes a line on stderr. Ends by SystemExit."""
    from livetask import cli
    from livetask.server.access.caller import ROLES

    try:
        url, prefix, auth = cli.redis_place(getattr(ctx.obj, "app", None), **place)
        asyncio.run(_with_stored(url, prefix, do))
    except LivetaskError as error:
        print(f"livetask: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, SettingInvalid) else 1)
    role = ctx.params.get("role")
    if role is not None and role not in ROLES:
        _say(f"{role} is no built-in role: it may nothing but what the setting rights says of 'role:{role}'")
    if not auth and ctx.info_name == "new":
        _say("nobody is asked yet: a server started with --auth required (LIVETASK_AUTH=required) will ask")
    sys.exit(0)


async def _with_stored(url: str, prefix: str, do: Do) -> None:
    from livetask.keys import Keys
    from livetask.server.access.passwords import Passwords
    from livetask.server.access.tokens import Tokens
    from livetask.server.access.users import Users
    from livetask.server.store import Store

    passwords = Passwords()
    try:
        async with Store(url, prefix=prefix, timeout_s=_REDIS_S) as store:
            keys = Keys(prefix)
            await do(Tokens(store.commands, keys), Users(store.commands, keys, passwords))
    finally:
        passwords.close()


def _password() -> str:
    """A password from the terminal, asked for twice, or the first line of what is piped in."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise PasswordsDiffer
    return first


def _day(at_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at_s))


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _print_table(rows: Iterable[Sequence[str]]) -> None:
    shown = list(rows)
    widths = [max(len(row[column]) for row in shown) for column in range(len(shown[0]))]
    for row in shown:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
