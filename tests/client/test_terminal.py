"""The commands as processes: what they print where, and with which status they end."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from livetask import terminal
from livetask.client import DEFAULT_URL
from livetask.position import Cursor, Position
from livetask.settings import Settings
from tests.real import warm
from tests.real.fault_proxy import FaultProxy
from tests.server.serving import Writer, clean_environ
from tests.system.apps.lines import text
from tests.system.rig import CHECKOUT, Dashboard, Rig, Running, free_port, wait_for

Begun = Callable[..., Writer]
COMMAND = (sys.executable, "-m", "livetask")


def said(*words: str, env: dict[str, str] | None = None, command: tuple[str, ...] = COMMAND) -> Any:
    """Run a command to its end; stdout is bytes, stderr is text."""
    whole = clean_environ(**(env or {}))
    done = warm.ran([*command, *words], whole, CHECKOUT)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout, done.stderr.decode())


@contextmanager
def running(place: Path, *words: str) -> Iterator[subprocess.Popen[bytes] | warm.Warm]:
    """A command that runs; its output goes to ``out`` and ``err`` in ``place``."""
    with (place / "out").open("wb") as out, (place / "err").open("wb") as err:
        process = warm.started([*COMMAND, *words], out.fileno(), err.fileno(), clean_environ(), CHECKOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait(90)


def _grown(file: Path, beyond_bytes: int) -> bool:
    return file.stat().st_size > beyond_bytes


# ---- tail


@pytest.mark.parametrize(
    ("how", "state", "status"),
    [("SUCCESS", None, 0), ("FAILURE", None, 1), ("KILLED", "FAILURE", 1), ("REVOKED", None, 1), ("IGNORED", None, 1)],
)
def test_tail_prints_all_and_ends_with_the_task_s_fate(
    url: str, begun: Begun, how: str, state: str | None, status: int
) -> None:
    writer = begun().write(b"one\ntwo \xc5").write(b"\xbc").finish(how, state)
    done = said("tail", writer.task_id, "--url", url)
    assert (done.returncode, done.stdout) == (status, "one\ntwo ż".encode())
    assert done.stderr.splitlines()[-1] == f"livetask: {state or how}"


def test_tail_follows_over_many_cuts_and_prints_every_byte_once(server: Dashboard, begun: Begun, place: Path) -> None:
    data, writer = text(10_000), begun()
    pieces = [data[at : at + 30_000] for at in range(0, len(data), 30_000)]
    with FaultProxy(server.port) as proxy:
        with running(place, "tail", writer.task_id, "--raw", "--url", f"http://127.0.0.1:{proxy.port}") as tail:
            for piece in pieces:
                before = (place / "out").stat().st_size
                writer.write(piece)
                wait_for("some of it is printed", partial(_grown, place / "out", before))
                proxy.cut()
            writer.finish()
            assert tail.wait(90) == 0
        assert proxy.cuts >= len(pieces) > 20
    assert (place / "out").read_bytes() == data


def test_tail_goes_on_when_the_server_is_started_again(
    rig: Rig, own_server: Dashboard, store: Any, begun: Begun, place: Path
) -> None:
    writer = begun().write(b"before\n")
    with running(place, "tail", writer.task_id, "--url", own_server.url) as tail:
        wait_for("output", lambda: b"before" in (place / "out").read_bytes())
        own_server.running.kill()
        writer.write(b"meanwhile\n")
        wait_for("a notice", lambda: "the connection is lost" in (place / "err").read_text())
        again = rig.serve(store.url, own_server.port)
        wait_for("more", lambda: b"meanwhile" in (place / "out").read_bytes())
        writer.write(b"after\n").finish()
        assert tail.wait(90) == 0
        again.running.stop()
    assert (place / "out").read_bytes() == b"before\nmeanwhile\nafter\n"
    assert "connected again" in (place / "err").read_text()


def test_ctrl_c_prints_the_command_that_goes_on_from_there(url: str, begun: Begun, place: Path) -> None:
    writer = begun().write(b"one\n")
    with running(place, "tail", writer.task_id, "--url", url) as tail:
        wait_for("output", lambda: (place / "out").read_bytes() == b"one\n")
        tail.send_signal(signal.SIGINT)
        assert tail.wait(90) == 130
    last = (place / "err").read_text().splitlines()[-1]
    words = last.removeprefix("livetask: to go on: livetask ").split()
    assert words == ["tail", writer.task_id, "--from", f"1.{writer.nonce}.2-4", "--url", url]
    writer.write(b"two\n").finish()
    rest = said(*words)
    assert (rest.returncode, rest.stdout) == (0, b"two\n")


@pytest.mark.parametrize(("place", "wanted"), [("start", b"1\n2\n3\n"), ("-2", b"2\n3\n"), ("now", b"")])
def test_tail_begins_where_it_is_told_to(url: str, begun: Begun, place: str, wanted: bytes) -> None:
    writer = begun().write(b"1\n2\n3\n").finish()
    done = said("tail", writer.task_id, "--from", place, "--url", url)
    assert (done.returncode, done.stdout) == (0, wanted)


def test_without_following_tail_prints_what_there_is_and_ends(url: str, begun: Begun) -> None:
    one = begun().write(b"first\n").finish("RETRY")
    begun(one.task_id, "retry").write(b"second\n")
    done = said("tail", one.task_id, "--no-follow", "--url", url)
    assert (done.returncode, done.stdout) == (0, b"first\nsecond\n")
    failed = begun().write(b"x\n").finish("FAILURE")
    assert said("tail", failed.task_id, "--no-follow", "--url", url).returncode == 0


def test_runs_are_printed_in_turn_or_alone(url: str, begun: Begun) -> None:
    one = begun().write(b"first\n").finish("RETRY")
    begun(one.task_id, "retry").write(b"second\n").finish()
    both = said("tail", one.task_id, "--url", url)
    assert (both.returncode, both.stdout) == (0, b"first\nsecond\n")
    assert "livetask: run 2 (retry) begins" in both.stderr
    alone = said("tail", one.task_id, "--run", "1", "--url", url)
    assert (alone.returncode, alone.stdout) == (1, b"first\n")


def test_gaps_go_to_stderr(url: str, begun: Begun) -> None:
    writer = begun().write(b"before\n").drop(Position(12, 1007)).write(b"after\n").finish()
    done = said("tail", writer.task_id, "--url", url)
    assert done.stdout == b"before\nafter\n"
    assert "livetask: gap: 1000 bytes, 10 lines dropped" in done.stderr


def test_escape_codes_are_left_out_of_files_unless_raw_is_asked_for(url: str, begun: Begun) -> None:
    data = b"\x1b[31mred\x1b[0m \xff\x00\x1b]0;title\x07end\n"
    writer = begun().write(data[:3]).write(data[3:22]).write(data[22:]).finish()
    assert said("tail", writer.task_id, "--url", url).stdout == b"red \xff\x00end\n"
    assert said("tail", writer.task_id, "--raw", "--url", url).stdout == data


def test_a_terminal_is_given_colours_and_no_other_codes(url: str, begun: Begun) -> None:
    writer = begun().write(b"\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J end\n").finish()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "tail", writer.task_id, "--url", url], stdout=theirs, stderr=subprocess.DEVNULL, env=clean_environ()
    )
    os.close(theirs)
    assert process.wait(90) == 0
    shown = os.read(ours, 10_000)
    os.close(ours)
    assert shown == b"\x1b[31mred\x1b[0m end\r\n\x1b[0m"


def test_json_lines_hold_everything_and_cut_no_character(url: str, begun: Begun) -> None:
    writer = begun().write(b"za" + b"\xc5").write(b"\xbc\n").drop(Position(3, 100)).write(b"\xf0\x9f").finish()
    done = said("tail", writer.task_id, "--json", "--url", url)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    output = [line for line in lines if line["event"] == "output"]
    assert "".join(line["text"] for line in output) == "zaż\n\ufffd"
    byte = 0
    for line in [line for line in lines if line["event"] in ("output", "gap")]:
        assert Position.parse(line["from"]).byte == byte
        byte = Cursor.parse(line["cursor"]).position.byte
    assert byte == 102
    gap = next(line for line in lines if line["event"] == "gap")
    assert (gap["bytes"], gap["reason"]) == (95, "dropped")
    assert lines[-1] == {"event": "task_end", "state": "SUCCESS"}
    assert next(line for line in lines if line["event"] == "task")["task"]["id"] == writer.task_id


def test_a_reader_that_has_gone_ends_tail_quietly(url: str, begun: Begun, place: Path) -> None:
    writer = begun()
    for _ in range(40):
        writer.write(b"line\n" * 3000)
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "tail", writer.task_id, "--url", url], stdout=theirs, stderr=subprocess.PIPE, env=clean_environ()
    )
    os.close(theirs)
    assert os.read(ours, 5) == b"line\n"
    os.close(ours)
    _, err = process.communicate(timeout=90)
    assert (process.returncode, err) == (141, b"")


def test_what_cannot_be_followed_is_told_in_one_line(url: str) -> None:
    for words, reason in (
        (("tail", "no-such-task", "--url", url), "nothing is known of task no-such-task"),
        (("tail", "x", "--url", f"http://127.0.0.1:{free_port()}"), "Connection refused"),
        (("tail", "x", "--from", "somewhere", "--url", url), "nothing is known"),
        (("tail", "x", "--url", "nonsense"), "is not the address of a server"),
    ):
        done = said(*words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, b"", 1)
        assert reason in done.stderr


# ---- run and cancel


def test_run_starts_a_task_prints_its_output_and_ends_well(url: str, worker: Running) -> None:
    done = said("run", "clients.count", "--args", "[2]", "--kwargs", '{"word": "żółw"}', "--url", url)
    assert (done.returncode, done.stdout.decode()) == (0, "żółw 1\nżółw 2\n")
    assert done.stderr.splitlines()[-1] == "livetask: SUCCESS"


def test_run_ends_badly_with_a_task_that_fails_and_says_why(url: str, worker: Running) -> None:
    done = said("run", "clients.fail", "--url", url)
    assert done.returncode == 1
    assert b"about to fail" in done.stdout
    assert "run 1 ended: FAILURE (ValueError: on purpose)" in done.stderr


def test_run_gives_the_id_alone_and_its_task_can_be_cancelled(url: str, worker: Running, place: Path) -> None:
    started = said("run", "clients.wait_for", "--args", json.dumps([str(place / "never")]), "--no-follow", "--url", url)
    task_id = started.stdout.decode().strip()
    assert started.returncode == 0
    with running(place, "tail", task_id, "--url", url) as tail:
        wait_for("output", lambda: b"waiting" in (place / "out").read_bytes())
        assert said("cancel", "--terminate", task_id, "--url", url).returncode == 0
        assert tail.wait(90) == 1
    assert "REVOKED" in (place / "err").read_text()


def test_a_grace_stops_a_task_and_rerun_starts_it_anew(url: str, worker: Running, place: Path) -> None:
    file = place / "go"
    started = said("run", "clients.wait_for", "--args", json.dumps([str(file)]), "--no-follow", "--url", url)
    task_id = started.stdout.decode().strip()
    with running(place, "tail", task_id, "--url", url) as tail:
        wait_for("output", lambda: b"waiting" in (place / "out").read_bytes())
        cancelled = said("cancel", "--grace", "0.3", task_id, "--url", url)
        assert cancelled.returncode == 0
        assert "terminated if it still runs after 0.3 s" in cancelled.stderr
        assert tail.wait(90) == 1
    file.touch()
    again = said("rerun", task_id, "--url", url)
    assert (again.returncode, again.stdout) == (0, b"waiting\ndone waiting\n")
    edited = said("rerun", task_id, "--args", json.dumps([str(place)]), "--no-follow", "--json", "--url", url)
    assert json.loads(edited.stdout)["task_id"] != task_id
    assert "expected a JSON list" in said("rerun", task_id, "--args", "{}", "--url", url).stderr


def test_a_termination_that_failed_is_the_exit_status(url: str, begun: Begun) -> None:
    refused = said("cancel", "--terminate", begun().task_id, "--url", url)
    assert refused.returncode == 1
    assert "did not answer" in refused.stderr


def test_ctrl_c_leaves_the_started_task_running(url: str, worker: Running, place: Path) -> None:
    file = place / "go"
    with running(place, "run", "clients.wait_for", "--args", json.dumps([str(file)]), "--url", url) as run:
        wait_for("output", lambda: b"waiting" in (place / "out").read_bytes())
        run.send_signal(signal.SIGINT)
        assert run.wait(90) == 130
    err = (place / "err").read_text()
    assert "the task goes on" in err
    file.touch()
    words = next(line for line in err.splitlines() if "to go on:" in line).partition("livetask tail ")[2].split()
    rest = said("tail", *words)
    assert (rest.returncode, rest.stdout) == (0, b"done waiting\n")


def test_what_may_not_be_started_and_bad_json_are_refused(url: str) -> None:
    refused = said("run", "other.task", "--url", url)
    assert refused.returncode == 2
    assert "may not be started here" in refused.stderr
    bad = said("run", "clients.count", "--args", "{not json", "--url", url)
    assert bad.returncode == 2
    assert "expected a JSON list" in bad.stderr
    bare = said("run", "clients.count", "2026", "it's", "--url", url)
    assert bare.returncode == 2
    assert """given as JSON: --args '[2026, "it'"'"'s"]'\n""" in bare.stderr


# ---- ls


def test_ls_shows_a_table_and_json_lines(url: str, begun: Begun) -> None:
    failed = begun().write(b"x\ny\n").finish("FAILURE")
    table = said("ls", "--state", "failure", "--url", url)
    head, *rows = table.stdout.decode().splitlines()
    assert head.split() == ["ID", "STATE", "NAME", "TOOK", "CHANGED", "RUNS", "LINES", "PROGRESS"]
    assert rows[0].split()[:3] == [failed.task_id, "FAILURE", "a.task"]
    assert {row.split()[1] for row in rows} == {"FAILURE"}
    lines = said("ls", "--json", "-q", failed.task_id, "--url", url).stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [failed.task_id]
    assert json.loads(lines[0])["runs"][0]["end"] == "3-4"


def test_names_cannot_command_the_terminal(url: str, store: Any) -> None:
    writer = Writer(store.url, f"hostile-{time.monotonic_ns()}").begin(name="a\x1b]0;evil\x07b").finish()
    table = said("ls", "-q", writer.task_id, "--url", url).stdout
    assert b"\x1b" not in table
    assert b"\x07" not in table


# ---- both command lines


def test_the_address_can_come_from_the_environment(url: str) -> None:
    assert said("ls", env={"LIVETASK_URL": url}).returncode == 0


def test_celery_s_command_asks_the_app_s_own_server(server: Dashboard, app_env: dict[str, str], begun: Begun) -> None:
    writer = begun().write(b"by celery\n").finish()
    command = (sys.executable, "-m", "celery", "-A", "tests.client.app", "livetask")
    for words in (("--port", str(server.port), "tail", writer.task_id), ("tail", writer.task_id, "--url", server.url)):
        done = said(*words, env=app_env, command=command)
        assert (done.returncode, done.stdout) == (0, b"by celery\n"), done.stderr
    assert said("ls", env=app_env | {"LIVETASK_PORT": str(server.port)}, command=command).returncode == 0


def test_help_lists_the_commands_in_both(app_env: dict[str, str]) -> None:
    ours = said("--help").stdout.decode()
    theirs = said("-A", "tests.client.app", "livetask", "--help", env=app_env, command=(*COMMAND[:2], "celery"))
    for name in terminal.commands.commands:
        assert f"\n    {name} " in ours
        assert f"\n  {name} " in theirs.stdout.decode()
        page = said(name, "--help").stdout.decode()
        assert f"Usage: livetask {name}" in page
        assert "LIVETASK_URL" in page


def test_the_default_address_is_that_of_the_settings() -> None:
    assert terminal.DEFAULT_URL == DEFAULT_URL == f"http://{Settings().host}:{Settings().port}"


def test_the_commands_load_the_client_only_when_one_is_called() -> None:
    code = "import sys, livetask.terminal; print(*sys.modules)"
    done = said("-c", code, command=(sys.executable,))
    assert not {"aiohttp", "socketio", "celery", "redis", "livetask.server", "livetask.worker"} & set(
        done.stdout.decode().split()
    )
