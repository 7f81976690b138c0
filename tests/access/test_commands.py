"""``livetask token`` and ``livetask user``, as processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from tests.access.conftest import PASSWORD, Stored
from tests.real import warm
from tests.server.serving import Client, clean_environ
from tests.system.rig import CHECKOUT

LIVETASK = (sys.executable, "-m", "livetask")
CELERY = (sys.executable, "-m", "celery", "-A", "tests.server.small_app", "livetask")


def run(*words: str, typed: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    env = clean_environ(**environ)
    if not typed:
        said = warm.ran([*words], env, CHECKOUT)
        return subprocess.CompletedProcess(words, said.returncode, said.stdout.decode(), said.stderr.decode())
    return subprocess.run(
        words, input=typed, capture_output=True, text=True, cwd=CHECKOUT, env=env, timeout=90, check=False
    )


async def test_a_token_is_printed_once_listed_without_its_secret_and_revoked(stored: Stored) -> None:
    place = ("--redis-url", stored.url)
    made = run(*LIVETASK, "token", "new", "ci", "--role", "operator", "--days", "30", *place)
    assert made.returncode == 0, made.stderr
    text = made.stdout.strip()
    (token,) = await stored.tokens.all()
    assert (token.name, token.role) == ("ci", "operator")
    assert text.startswith(f"ltk_{token.token_id}_")
    assert "--auth required" in made.stderr
    listed = run(*LIVETASK, "token", "ls", *place).stdout
    assert token.token_id in listed
    assert text.split("_", 2)[2] not in listed
    assert run(*LIVETASK, "token", "revoke", token.token_id, *place).returncode == 0
    again = run(*LIVETASK, "token", "revoke", token.token_id, *place)
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert "livetask token ls" in again.stderr


async def test_the_command_of_celery_finds_the_redis_of_the_app(stored: Stored) -> None:
    environ = {"LIVETASK_TEST_SMALL_APP_URL": stored.url, "LIVETASK_AUTH": "required"}
    made = run(*CELERY, "token", "new", "ci", **environ)
    assert made.returncode == 0, made.stderr
    assert "nobody is asked yet" not in made.stderr
    assert [token.name for token in await stored.tokens.all()] == ["ci"]


async def test_users_come_get_another_password_and_go(stored: Stored) -> None:
    environ = {"LIVETASK_REDIS_URL": stored.url}
    assert run(*LIVETASK, "user", "new", "anna", "--role", "admin", typed=f"{PASSWORD}\n", **environ).returncode == 0
    assert await stored.users.with_password("anna", PASSWORD) is not None
    assert run(*LIVETASK, "user", "passwd", "anna", typed="battery staple\n", **environ).returncode == 0
    assert await stored.users.with_password("anna", PASSWORD) is None
    assert "anna  admin" in run(*LIVETASK, "user", "ls", **environ).stdout
    assert run(*LIVETASK, "user", "rm", "anna", **environ).returncode == 0
    assert await stored.users.all() == []


async def test_the_terminal_asks_with_its_token_and_is_told_what_to_do_without(client: Client, stored: Stored) -> None:
    address = {"LIVETASK_URL": str(client.make_url("/"))}
    token = await stored.token()
    with_it = await asyncio.to_thread(run, *LIVETASK, "ls", "--json", **address, LIVETASK_TOKEN=token)
    assert (with_it.returncode, with_it.stderr) == (0, "")
    for words in (("ls",), ("tail", "task-1")):
        without = await asyncio.to_thread(run, *LIVETASK, *words, **address)
        assert without.returncode != 0
        assert "livetask token new" in without.stderr
        assert "Traceback" not in without.stderr


@pytest.mark.parametrize(("role", "said"), [("operator", False), ("operater", True)])
def test_a_role_that_is_not_built_in_is_taken_with_a_word_of_what_it_may(redis_url: str, role: str, said: bool) -> None:
    """A misspelt role shut its user out, and nothing said why."""
    answer = run(*LIVETASK, "token", "new", "ci", "--role", role, LIVETASK_REDIS_URL=redis_url)
    assert answer.returncode == 0
    assert ("no built-in role: it may nothing but what the setting rights says" in answer.stderr) is said


@pytest.mark.parametrize(
    ("words", "typed", "status", "said"),
    [
        (("user", "new", "anna"), "short\n", 1, "8 to 256 characters"),
        (("user", "new", "anna", "--role", "Boss!"), PASSWORD, 1, "viewer, operator, admin"),
        (("user", "rm", "nobody"), "", 1, "livetask user ls"),
        (("token", "new", "ci", "--redis-url", "redis://127.0.0.1:1"), "", 1, "does not answer"),
        (("token", "new", "ci", "--redis-url", "http://x"), "", 2, "redis_url"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    redis_url: str, words: tuple[str, ...], typed: str, status: int, said: str
) -> None:
    answer = run(*LIVETASK, *words, typed=typed, LIVETASK_REDIS_URL=redis_url)
    assert answer.returncode == status, answer.stderr
    assert said in answer.stderr
    assert answer.stderr.count("\n") == 1
