"""The commands: ``livetask serve`` and ``celery -A proj livetask``.

Both read the settings (flags over environment over the Celery app's configuration), and hand them to the server. What
is wrong with them is told in one sentence and ends the command with status 2, without a traceback.

Importing this module loads neither Celery nor the server: a command that only shows its help must be quick, and
Celery's own command line loads it for every subcommand.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import livetask
from livetask.errors import LivetaskError
from livetask.setting_errors import SettingInvalid
from livetask.settings import Settings, described, left_over

if TYPE_CHECKING:
    from celery import Celery

_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of the server. ``setting``: what it sets. ``kind``: int, bool (no value follows) or str."""

    setting: str
    kind: type
    metavar: str = ""

    @property
    def written(self) -> str:
        return f"--{self.setting.replace('_', '-')}"

    @property
    def help(self) -> str:
        """The setting's meaning and default, as the documents have it."""
        found = next(item for item in described() if item.name == self.setting)
        meaning = found.meaning.removeprefix("server: ")
        return meaning if found.default in ("false", '""') else f"{meaning} (default {found.default})"


FLAGS = (
    Flag("redis_url", str, "URL"),
    Flag("host", str, "ADDRESS"),
    Flag("port", int, "PORT"),
    Flag("auth", str, "WAY"),
    Flag("insecure", bool),
    Flag("prefix", str, "NAME"),
    Flag("archive_dir", str, "DIRECTORY"),
    Flag("archive_s3", str, "ADDRESS"),
    Flag("available_tasks", str, "NAMES"),
    Flag("cors_allowed_origins", str, "ORIGINS"),
    Flag("allowed_hosts", str, "NAMES"),
    Flag("path_prefix", str, "PATH"),
    Flag("tls_cert", str, "FILE"),
    Flag("tls_key", str, "FILE"),
)

ASKING = {
    "ls": "list the tasks of a server",
    "tail": "print a task's output while it grows",
    "run": "start a task, print its output, end with its fate",
    "cancel": "revoke or stop tasks",
    "rerun": "run a task again, as a new one",
    "share": "make a link to a task's log, list links, end one",
}
"""The commands of terminal.py, which ask a server that runs."""

GRANTING = {"token": "make, list and revoke tokens", "user": "make, list and remove users"}
"""The commands of granting.py, which say who may come in."""


def main(argv: Sequence[str] | None = None) -> None:
    """The command ``livetask``. ``argv``: its words, None for the process's own. Ends by SystemExit."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in ASKING:
        from livetask import terminal

        terminal.main(words)
    if words and words[0] in GRANTING:
        from livetask import granting

        granting.main(words)
    sys.exit(_serve_by(_parser().parse_args(words)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="livetask", description="Shows the live output of Celery tasks in the browser."
    )
    parser.add_argument("--version", action="version", version=f"livetask {livetask.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="serve the dashboard and the API",
        description="Serves the dashboard and the API. Every setting can also be given in the environment "
        "(LIVETASK_PORT=8400) or in the Celery app's configuration (livetask_port).",
    )
    serve.add_argument("-A", "--app", metavar="MODULE[:ATTR]", help="the Celery app whose tasks may be started")
    for flag in FLAGS:
        if flag.kind is bool:
            serve.add_argument(flag.written, action="store_true", default=None, help=flag.help)
        else:
            serve.add_argument(flag.written, type=flag.kind, metavar=flag.metavar, help=flag.help)
    serve.add_argument("--log-level", choices=_LEVELS, default="warning", help="default: warning")
    for name, purpose in {**ASKING, **GRANTING}.items():
        commands.add_parser(name, help=purpose)  # for the list only: others read their words
    return parser


def _serve_by(arguments: argparse.Namespace) -> int:
    flags = {flag.setting: getattr(arguments, flag.setting) for flag in FLAGS}
    return _ending_well(lambda: _load_and_serve(arguments.app, flags, arguments.log_level))


def _load_and_serve(app_name: str | None, flags: Mapping[str, Any], level: str) -> int:
    app = _app_named(app_name) if app_name else None
    return _serve(app, flags, level)


def _serve(app: Celery | None, flags: Mapping[str, Any], level: str) -> int:
    """Serve until a signal comes; the exit status."""
    conf = _conf_of(app) if app is not None else None
    settings = Settings.load(conf=conf, environ=os.environ, flags=flags)
    settings.require_redis_url()
    _log_to_stderr(level)
    if app is not None and (old := left_over(app.conf)):
        print(f"livetask: {old}", file=sys.stderr)
    from livetask.server.app import run

    return run(settings, app)


def redis_place(
    given: Celery | None, app: str | None = None, redis_url: str | None = None, prefix: str | None = None
) -> tuple[str, str, str]:
    """(URL, prefix, ``auth``) of the livetask that a command means. ``given``: the app that celery was called with.

    Raises SettingInvalid.
    """
    found = given or (_app_named(app) if app else None)
    conf = _conf_of(found) if found is not None else None
    settings = Settings.load(conf=conf, environ=os.environ, flags={"redis_url": redis_url, "prefix": prefix})
    return settings.require_redis_url(), settings.prefix, settings.auth or settings.proxy_user_header


def _ending_well(command: Callable[[], int]) -> int:
    """Run the command; what livetask itself refuses becomes one line on stderr."""
    try:
        return command()
    except LivetaskError as error:
        print(f"livetask: {error}", file=sys.stderr)
        return 2 if isinstance(error, SettingInvalid) else 1
    except KeyboardInterrupt:
        return 130


def _app_named(name: str) -> Celery:
    """The Celery app of that name, as ``celery -A`` finds it, with its task modules loaded.

    Raises SettingInvalid when there is no such module or no app in it; an error inside the module keeps its traceback.
    """
    from celery import Celery
    from celery.app.utils import find_app

    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as celery does, so that a module beside one is found
    try:
        found = find_app(name)
    except ModuleNotFoundError as error:
        module = name.split(":", 1)[0]
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise SettingInvalid("--app", name, "a module that can be imported from here") from None
    except AttributeError as error:
        raise SettingInvalid("--app", name, f"a module that holds a Celery app ({error})") from None
    if not isinstance(found, Celery):
        raise SettingInvalid("--app", name, "a Celery app")
    found.loader.import_default_modules()
    return found


def _conf_of(app: Celery) -> dict[str, Any]:
    """The parts of the app's configuration that settings are read from."""
    conf = {name: value for name, value in app.conf.items() if str(name).startswith(("livetask_", "socketio_"))}
    return conf | {"broker_url": app.conf.broker_url, "result_backend": app.conf.result_backend}


def _log_to_stderr(level: str) -> None:
    import logging

    logging.basicConfig(
        level=level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def _celery_command() -> Any:
    """The subcommand of ``celery``, made when Celery's command line asks for it."""
    import click
    from celery.bin.base import CeleryCommand, CeleryOption, handle_preload_options

    from livetask import granting, terminal

    class Commands(CeleryCommand, click.Group):
        """Serves without a subcommand; its help lists both the options and the subcommands."""

        def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            CeleryCommand.format_options(self, ctx, formatter)
            self.format_commands(ctx, formatter)

    def options(function: Any) -> Any:
        for flag in reversed(FLAGS):
            kind: dict[str, Any] = {"is_flag": True} if flag.kind is bool else {"type": flag.kind}
            function = click.option(
                flag.written,
                cls=CeleryOption,
                default=None,
                help=flag.help,
                metavar=flag.metavar or None,
                help_group="Server Options",
                **kind,
            )(function)
        return function

    @click.group(
        name="livetask",
        cls=Commands,
        invoke_without_command=True,
        subcommand_metavar="[COMMAND]",
        context_settings={"auto_envvar_prefix": "LIVETASK"},
    )
    @options
    @click.option(
        "-l",
        "--loglevel",
        cls=CeleryOption,
        type=click.Choice(_LEVELS, case_sensitive=False),
        default="warning",
        help_group="Server Options",
        help="Logging level.",
    )
    @click.pass_context
    @handle_preload_options
    def celery_command(ctx: Any, loglevel: str, **flags: Any) -> None:
        """Show the live output of this app's tasks in the browser."""
        app = ctx.obj.app
        if ctx.invoked_subcommand is not None:
            ctx.default_map = terminal.with_url(_address(app, flags))
            return
        app.loader.import_default_modules()
        ctx.exit(_ending_well(lambda: _serve(app, flags, loglevel)))

    for command in (*terminal.commands.commands.values(), *granting.commands.commands.values()):
        celery_command.add_command(command)
    return celery_command


def _address(app: Celery, flags: Mapping[str, Any]) -> str:
    """Where this app's server is looked for: where the same words without a subcommand would have it listen."""
    host = flags["host"] or app.conf.get("livetask_host") or Settings().host
    port = flags["port"] or app.conf.get("livetask_port") or Settings().port
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not listened on, but read
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def __getattr__(name: str) -> Any:
    if name == "celery_command":
        return _celery_command()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
