"""Fixtures for all tests: real servers, real workers, a real browser. Each process ends with its test.

``eventually`` waits for a condition. ``redis_url`` is a clean server that tests share one after the other;
``private_redis`` is one that the test may kill. ``worker`` and ``web`` start the real commands. ``browser`` is
a real Chromium and ``page`` a tab of one; where there is none, their tests are skipped, and the last lines say so.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import pytest_asyncio
import redis

from livetask.service.embedded import find_program
from tests.real.browser import FLAGS, BrowserMissing, environment, find_browser, node_for_playwright
from tests.real.redis_servers import RealRedis, running_server
from tests.system.rig import CHECKOUT, PATIENCE_S, Running

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Playwright


# The same examples each time: a run that fails says something of what was changed. `--hypothesis-profile=explore` looks
# for new ones, as `python -m tests.models` and `make chaos` do.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.load_profile("same")

# A shell that starts the tests behind itself has them ignore Ctrl-C, which all that they start would inherit.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# ---------------------------------------------------------------- waiting


async def _eventually(
    condition: Callable[[], Any], timeout_s: float = PATIENCE_S, what: str = "", every_s: float = 0.05
) -> Any:
    """Ask `condition`, plain or async, until it answers something true, and return that.

    An AssertionError in it counts as 'not yet' and is shown when the time is over.
    """
    ends_at = time.monotonic() + timeout_s
    while True:
        answer, last = None, None
        try:
            answer = condition()
            if isinstance(answer, Awaitable):
                answer = await answer
        except AssertionError as error:
            last = error
        if answer:
            return answer
        if time.monotonic() > ends_at:
            name = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"not within {timeout_s:g} s: {name}; the last answer was {last or answer!r}")
        await asyncio.sleep(every_s)  # between two looks at the condition


@pytest.fixture
def eventually() -> Callable[..., Awaitable[Any]]:
    """``await eventually(condition, timeout_s=..., what='...')``."""
    return _eventually


# ---------------------------------------------------------------- Redis


def _program() -> Path:
    """The server to test with: LIVETASK_TEST_REDIS_SERVER, else the embedded one."""
    return find_program(os.environ.get("LIVETASK_TEST_REDIS_SERVER")).path


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    """The embedded server, shared by the whole run."""
    with running_server(_program(), tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RealRedis) -> str:
    """The URL of the shared server, emptied for this test."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def private_redis(tmp_path: Path) -> Iterator[RealRedis]:
    """A server of the test's own, to kill and to start again on the same port and data."""
    with running_server(_program(), tmp_path / "private-redis") as server:
        yield server


# ---------------------------------------------------------------- workers and servers


@dataclass
class Started:
    """A process that a test started. ``url``: its address, for a web server."""

    running: Running
    url: str = ""

    @property
    def pid(self) -> int:
        return self.running.process.pid

    def output(self) -> str:
        return self.running.log

    def kill(self) -> None:
        """SIGKILL to the process alone."""
        self.running.kill()

    def stop(self) -> None:
        """SIGTERM; what is left of it after 20 s is killed."""
        self.running.stop()


@pytest.fixture
def started() -> Iterator[list[Started]]:
    """What a test has started; all of it ends with the test."""
    processes: list[Started] = []
    yield processes
    for process in reversed(processes):
        process.running.end()


@pytest.fixture
def worker(started: list[Started], tmp_path: Path, redis_url: str) -> Callable[..., Awaitable[Started]]:
    """``await worker('module', pool='prefork', concurrency=2, redis_url=..., args=[], env={}, path=[])``."""
    shared_url = redis_url

    async def start(
        module: str,
        pool: str = "prefork",
        concurrency: int = 2,
        redis_url: str | None = None,
        args: list[str] | None = None,
        env: dict[str, str] | None = None,
        path: list[str | Path] | None = None,
    ) -> Started:
        url = redis_url or shared_url
        number = len(started)
        line = ["-m", "celery", "-A", module, "worker", "-I", "livetask.worker", "--pool", pool]
        line += ["--concurrency", str(concurrency), "-n", f"worker{number}@%h", "-l", "INFO"]
        line += ["--without-mingle", "--without-gossip", "--without-heartbeat", *(args or [])]
        search = os.pathsep.join(str(part) for part in [*(path or []), CHECKOUT])
        known = {"LIVETASK_REDIS_URL": url, "LIVETASK_DEMO_BROKER_URL": url, "PYTHONPATH": search}
        known["LIVETASK_SPOOL_DIR"] = str(tmp_path / "spool")
        running = Running.start([sys.executable, *line], tmp_path / f"worker{number}.log", {**known, **(env or {})})
        started.append(Started(running))
        await asyncio.to_thread(running.wait_for_log, " ready.")
        return started[-1]

    return start


@pytest.fixture
def web(started: list[Started], tmp_path: Path, redis_url: str) -> Callable[..., Awaitable[Started]]:
    """``await web(redis_url=..., port=0, args=[], env={})``: ``livetask serve``, ready; ``.url`` ends with a slash."""
    shared_url = redis_url

    async def start(
        redis_url: str | None = None,
        port: int = 0,
        args: list[str] | None = None,
        env: dict[str, str] | None = None,
    ) -> Started:
        url = redis_url or shared_url
        line = ["-m", "livetask", "serve", "--redis-url", url, "--host", "127.0.0.1", "--port", str(port)]
        known = {"LIVETASK_DEMO_BROKER_URL": url, **(env or {})}
        running = Running.start([sys.executable, *line, *(args or [])], tmp_path / f"web{len(started)}.log", known)
        begun = Started(running)
        started.append(begun)
        mark = "livetask is at "
        await asyncio.to_thread(running.wait_for_log, mark)
        begun.url = running.log.rpartition(mark)[2].split()[0]
        return begun

    return start


# ---------------------------------------------------------------- the browser


@pytest.fixture(scope="session")
def browser_program() -> Path:
    """The Chromium to test with."""
    try:
        return find_browser()
    except BrowserMissing as missing:
        if os.environ.get("LIVETASK_TEST_BROWSER_REQUIRED"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))


class Chromium:
    """The browser of one process of tests: started when first asked for, and again if it has ended."""

    def __init__(self, playwright: Playwright, program: Path) -> None:
        self._playwright, self._program = playwright, program
        self._browser: Browser | None = None

    async def browser(self) -> Browser:
        if self._browser is None or not self._browser.is_connected():
            self._browser = await self._playwright.chromium.launch(
                executable_path=self._program, args=list(FLAGS), env=dict(environment())
            )
        return self._browser

    async def close(self) -> None:
        if self._browser is not None:
            await self._browser.close()


@asynccontextmanager
async def _chromium(program: Path) -> AsyncIterator[Chromium]:
    from playwright.async_api import async_playwright, expect

    expect.set_options(timeout=90_000)  # five seconds are few on a machine that is busy
    if node := node_for_playwright():
        os.environ["PLAYWRIGHT_NODEJS_PATH"] = node
    async with async_playwright() as playwright:
        chromium = Chromium(playwright, program)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(browser_program: Path) -> AsyncIterator[Chromium]:
    """Starting one takes longer than most of its tests."""
    async with _chromium(browser_program) as chromium:
        yield chromium


@pytest_asyncio.fixture(loop_scope="session")
async def browser(chromium: Chromium) -> AsyncIterator[Browser]:
    """A Chromium without a tab; its tests run in the loop of the session (see `_in_the_loop_of_their_browser`)."""
    browser = await chromium.browser()
    yield browser
    for context in browser.contexts:
        await context.close()


@pytest.fixture
async def own_browser(browser_program: Path) -> AsyncIterator[Browser]:
    """A Chromium in the test's own loop, for a test whose server runs in that."""
    async with _chromium(browser_program) as chromium:
        yield await chromium.browser()


@pytest.fixture
async def page(own_browser: Browser) -> AsyncIterator[Page]:
    """A tab; what the page throws, and what breaks its content security policy, fails the test at its end."""
    context = await own_browser.new_context()
    tab = await context.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
    yield tab
    await context.close()
    assert not wrong, wrong


_PURE = {"conformance", "ground", "models", "upgrade", "test_checker.py", "test_masking.py"}
"""Where every assertion is a verdict: what is asked is answered by a computation, or a clock that is simulated."""

_WAITED = ["TimeoutE", r"within [\d.e+]+ s\b", "ConnectionError", "ConnectionResetError", "RedisUnavailable"]
"""But for those that say that somebody did not answer at all."""


def _tried_again_only_if_they_waited(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the tests that compute: a wrong answer is wrong, however busy the machine is.

    In all others only NotExact (tests/oracle/verdict.py) is that: `rerun_except` in pyproject.toml.
    """
    if reruns := config.getoption("reruns", 0):
        for item in items:
            if _PURE & set(item.path.parts) and "alone" not in item.keywords:
                item.add_marker(pytest.mark.flaky(reruns=reruns, only_rerun=_WAITED))


def _in_the_loop_of_their_browser(items: list[pytest.Item]) -> None:
    """The browser lives longer than a test, and so must the loop in which both run."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whatever uses the browser carries its mark, so that `make test-nobrowser` leaves it out."""
    for item in items:
        if "browser_program" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
    _in_the_loop_of_their_browser(items)
    _tried_again_only_if_they_waited(config, items)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly that the browser's tests did not run."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if "no browser" in str(report.longrepr)]
    if skipped:
        terminalreporter.section("NO BROWSER", red=True, bold=True)
        terminalreporter.write_line(f"{len(skipped)} tests did not run: `make test` fetches a browser for them")
