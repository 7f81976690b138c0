"""The commands, as processes: what they print, how they end, how fast they are."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

import livetask
from livetask import cli
from tests.real import warm
from tests.server.serving import a_server, clean_environ, redis_of_the_module, until
from tests.system.rig import CHECKOUT, Redis, free_port

LIVETASK = (sys.executable, "-m", "livetask")
CELERY = (sys.executable, "-m", "celery")


@pytest.fixture(autouse=True)
def _as_it_is_started_by_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(warm.COLD, "1")


store = redis_of_the_module


def run(*words: str, cwd: Path = CHECKOUT, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, capture_output=True, text=True, cwd=cwd, env=clean_environ(**environ), timeout=90, check=False
    )


def test_version_and_help_are_told() -> None:
    assert run(*LIVETASK, "--version").stdout == f"livetask {livetask.__version__}\n"
    answer = run(*LIVETASK, "serve", "--help")
    assert answer.returncode == 0
    assert all(flag.written in answer.stdout for flag in cli.FLAGS)


def test_importing_the_commands_loads_neither_celery_nor_the_server() -> None:
    code = "import sys, livetask.cli; print(*sys.modules)"
    loaded = set(run(sys.executable, "-c", code).stdout.split())
    assert not loaded & {"celery", "kombu", "aiohttp", "redis", "socketio", "livetask.server"}


def test_the_command_of_celery_has_the_same_flags() -> None:
    answer = run(*CELERY, "-A", "tests.server.small_app", "livetask", "--help")
    assert answer.returncode == 0, answer.stderr
    assert all(flag.written in answer.stdout for flag in cli.FLAGS)


@pytest.mark.parametrize(
    ("words", "environ", "said"),
    [
        (("serve",), {}, "needs a Redis or Valkey server"),
        (("serve", "--redis-url", "redis://127.0.0.1:1"), {"LIVETASK_PROT": "1"}, "did you mean LIVETASK_PORT?"),
        (("serve", "--redis-url", "redis://127.0.0.1:1"), {"LIVETASK_INSECURE": "perhaps"}, "true or false"),
        (("serve", "--redis-url", "redis://127.0.0.1:1", "--port", "70000"), {}, "0 to 65535"),
        (("serve", "--redis-url", "redis://127.0.0.1:1", "--host", "0.0.0.0"), {}, "--insecure"),
        (("serve", "--redis-url", "redis://127.0.0.1:1", "--host", "example.org"), {}, "--insecure"),
        (("serve", "-A", "no_such_module"), {}, "a module that can be imported"),
        (("serve", "-A", "livetask.position"), {}, "a module that holds a Celery app"),
        (("serve", "-A", "livetask.position:START"), {}, "a Celery app"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_and_ends_with_status_2(
    words: tuple[str, ...], environ: dict[str, str], said: str
) -> None:
    answer = run(*LIVETASK, *words, **environ)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert said.casefold() in answer.stderr.casefold()
    assert len(answer.stderr.splitlines()) == 1


def test_settings_of_stirfried_that_were_left_over_are_told_at_the_start(tmp_path: Path) -> None:
    text = (
        "from celery import Celery\napp = Celery(broker='redis://127.0.0.1:1')\napp.conf.stirfried_error_info = True\n"
    )
    (tmp_path / "app_with_old.py").write_text(text, "utf-8")
    answer = run(*CELERY, "-A", "app_with_old", "livetask", "--host", "192.0.2.1", "--insecure", cwd=tmp_path)
    assert "livetask: stirfried_error_info: livetask does not read settings of Stirfried" in answer.stderr


@pytest.mark.parametrize(
    "words", [(*LIVETASK, "serve", "-A", "app_of_rabbit"), (*CELERY, "-A", "app_of_rabbit", "livetask")]
)
def test_a_broker_that_is_no_redis_needs_a_redis_of_its_own(tmp_path: Path, words: tuple[str, ...]) -> None:
    text = "from celery import Celery\napp = Celery('x', broker='amqp://127.0.0.1:1//')\n"
    (tmp_path / "app_of_rabbit.py").write_text(text, "utf-8")
    answer = run(*words, cwd=tmp_path)
    assert answer.returncode == 2, answer.stderr
    assert "set livetask_redis_url in the Celery app" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_an_error_inside_the_apps_module_keeps_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "broken_app.py").write_text("import not_there_at_all\n", "utf-8")
    answer = run(*LIVETASK, "serve", "-A", "broken_app", cwd=tmp_path)
    assert answer.returncode == 1
    assert "broken_app.py" in answer.stderr
    assert "not_there_at_all" in answer.stderr


def test_a_port_that_is_taken_is_told_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        answer = run(*LIVETASK, "serve", "--redis-url", "redis://127.0.0.1:1", "--port", port)
    assert answer.returncode == 1
    ways = "choose another with --port (LIVETASK_PORT), or 0 for a free one"
    assert answer.stderr.splitlines()[-1] == f"livetask: port {port} of 127.0.0.1 is taken: {ways}"
    assert "Traceback" not in answer.stderr


@pytest.mark.alone
async def test_the_server_answers_within_2_s_of_its_start_and_says_where(store: Redis) -> None:
    began = time.monotonic()
    async with a_server("--redis-url", store.url) as server:
        took_s = time.monotonic() - began
        answer = await asyncio.to_thread(lambda: urlopen(f"{server.url}healthz", timeout=90).status)
        assert answer == 200
        assert took_s < 2 or took_s < 10 * _start_of_python_s(), took_s
        assert await server.stop() == 0


def _start_of_python_s() -> float:
    """How long this machine, busy as it is, takes to start Python and import aiohttp."""
    began = time.monotonic()
    run(sys.executable, "-c", "import aiohttp.web")
    return time.monotonic() - began


@pytest.mark.parametrize("command", [("-m", "livetask", "serve", "-A"), ("-m", "celery", "-A")])
async def test_an_apps_settings_and_tasks_are_taken_over(
    store: Redis, tmp_path: Path, command: tuple[str, ...]
) -> None:
    text = (
        f"from celery import Celery\napp = Celery('own', broker={store.url!r})\n"
        "app.conf.livetask_available_tasks = ['own.*']\napp.conf.imports = ['tasks_of_own']\n"
    )
    (tmp_path / "app_of_own.py").write_text(text, "utf-8")
    tasks = "from app_of_own import app\n@app.task(name='own.hello')\ndef hello():\n    'Greets.'\n"
    (tmp_path / "tasks_of_own.py").write_text(tasks, "utf-8")
    words = ("app_of_own", "livetask") if "celery" in command else ("app_of_own",)
    async with a_server(command=(*command, *words), more_path=str(tmp_path)) as server:
        body = await asyncio.to_thread(lambda: urlopen(f"{server.url}api/startable", timeout=90).read())
        (task,) = json.loads(body)["tasks"]
        assert (task["name"], task["doc"], task["parameters"]) == ("own.hello", "Greets.", [])
        assert await server.stop() == 0


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_server_with_status_0(store: Redis, number: int) -> None:
    async with a_server("--redis-url", store.url) as server:
        began = time.monotonic()
        assert await server.stop(number) == 0
        assert time.monotonic() - began < 2.5


async def test_the_server_starts_while_redis_is_away_and_heals_when_it_comes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    lines: list[str] = []

    async def logged(words: str) -> bool:
        lines.extend(capfd.readouterr().err.splitlines())
        return any(words in line for line in lines)

    async with a_server("--redis-url", f"redis://127.0.0.1:{port}/0") as server:
        assert await asyncio.to_thread(_status, f"{server.url}healthz") == 200
        assert await asyncio.to_thread(_status, f"{server.url}readyz") == 503
        assert await asyncio.to_thread(_status, f"{server.url}api/tasks") == 503
        assert await asyncio.to_thread(_status, server.url) == 200
        await until("the log says that it is away", lambda: logged("does not answer"))
        found = Redis(tmp_path / "data", port)
        await asyncio.to_thread(found.start, "no")
        try:
            assert await asyncio.to_thread(_status, f"{server.url}readyz") == 200
            assert await asyncio.to_thread(_status, f"{server.url}api/tasks") == 200
            await until("the log says that it is back", lambda: logged("answers again"))
        finally:
            found.stop()
    lost, back = [line.partition("livetask.server.hub: ")[2] for line in lines]
    assert (lost[:38], back) == ("the Redis of livetask does not answer:", "Redis answers again")


def _status(url: str) -> int:
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=90)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status
    finally:
        connection.close()
