"""What a prefork worker's tasks write is in Redis exactly as they wrote it, whatever they wrote it with."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from types import SimpleNamespace

from celery import Signature, chain, chord, group
from celery.app.task import Context

from livetask.turns import unturned
from livetask.worker.facts import mark_received, run_facts
from tests.system.rig import wait_for
from tests.worker.conftest import Starter, Worker

_TIME = re.compile(rb"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: ")


def test_all_forms_of_print_are_exact(prefork: Worker) -> None:
    _, task, output = prefork.outcome("print_forms")
    assert task["state"] == "SUCCESS"
    assert output.decode("utf-8", "surrogateescape").split("\n") == [
        *("a b 3", "no end", "", "x-y!", "written", "one", "two", "bytes \udcff\0", "ü ☃ 😀", "bad: \\ud800"),
        *("carriage\rreturn", "last"),
    ]


def test_the_end_holds_size_lines_and_checksum_of_the_output(prefork: Worker) -> None:
    _, task, output = prefork.outcome("print_forms")
    assert task["1.end"] == f"{output.count(10) + 1}-{len(output)}"
    assert task["1.crc"] == f"{zlib.crc32(output):08x}"


def test_what_goes_past_python_is_captured_in_order(prefork: Worker) -> None:
    _, _, output = prefork.outcome("below_python")
    lines = output.splitlines()
    assert lines == [b"python", b"os.write", b"printf", b"echo", b"err", b"system", b"old stdout", b"end"]


def test_a_group_that_no_task_has_sent_is_the_root_of_its_tasks_and_of_what_they_send(prefork: Worker) -> None:
    members = group(prefork.app.signature("tests.send_on", args=(text,)) for text in "ab")
    sent = members.apply_async()
    for one in sent:
        task = prefork.stored.ended(one.id)
        child = prefork.stored.ended(task["result"].strip("'"))
        assert task["root_id"] == child["root_id"] == f"group:{sent.id}"
        assert (task.get("parent_id", ""), child["parent_id"]) == ("", one.id)
    assert not prefork.outcome("say", "alone")[1].get("root_id", "").startswith("group:")


def test_a_chain_in_a_group_or_chord_belongs_to_it_from_its_first_task_on(starter: Starter) -> None:
    # These tasks' result backend is memory, and a chord counts its parts there: all have to run in one process.
    worker = starter.start("prefork", concurrency=1)

    def say(text: str) -> Signature:
        return worker.app.signature("tests.say", args=(text,), immutable=True)

    tail = chord([say("a"), say("b")], say("c"), app=worker.app)
    ends = group(say("2"), say("3"), app=worker.app)
    for chained in (chain(say("1"), say("2"), say("3")), chain(say("1"), tail), chain(say("1"), ends)):
        sent = group(chained, say("beside"), app=worker.app).apply_async()
        begun = [sent[0]]
        while begun[0].parent is not None:
            begun.insert(0, begun[0].parent)
        ids = [one.id for found in (*begun, sent[1]) for one in getattr(found, "results", None) or [found]]
        assert len(ids) > 3
        assert {worker.stored.ended(task_id).get("root_id") for task_id in ids} == {f"group:{sent.id}"}


def test_what_python_writes_to_stderr_is_told_apart(prefork: Worker) -> None:
    task_id, _, output = prefork.outcome("both_streams")
    told = set()
    for start, fields in prefork.stored.entries(task_id):
        told |= {n for first, last in unturned(fields.get(b"x", b""), start.line) for n in range(first, last + 1)}
    assert told == {number for number, line in enumerate(output.splitlines(), 1) if b"err" in line}
    assert output.splitlines()[-1] == b"not told"


def test_threads_executors_and_forks_belong_to_the_run(prefork: Worker) -> None:
    _, _, output = prefork.outcome("threads_and_forks")
    assert output == b"thread\nexecutor\nforked\n"


def test_stdout_is_a_real_stream(prefork: Worker) -> None:
    _, task, output = prefork.outcome("stream_traits")
    assert task["result"] == "['utf-8', False, True, True, True]"
    assert output == b"given\n"


def test_records_from_info_on_are_shown_with_level_and_logger(prefork: Worker) -> None:
    _, _, output = prefork.outcome("log_levels")
    lines = output.splitlines()
    assert all(_TIME.match(line) for line in lines)
    assert [_TIME.sub(b"", line) for line in lines] == [
        f"{level.upper()}/{name}] {level}".encode()
        for name in ("tests.worker.tasks", "some.place")
        for level in ("info", "warning", "error")
    ]


def test_prints_and_records_keep_their_order(prefork: Worker) -> None:
    _, _, output = prefork.outcome("record_between_prints", 50)
    words = [_TIME.sub(b"", line).split(b"] ")[-1] for line in output.splitlines()]
    assert words == [word for number in range(50) for word in (b"print %d" % number, b"record %d" % number)]


def test_two_tasks_at_once_never_mix(prefork: Worker) -> None:
    ids = [prefork.send("number_lines", 300, 0.001) for _ in range(4)]
    for task_id in ids:
        prefork.stored.ended(task_id)
        assert prefork.stored.output(task_id) == b"".join(b"line %d\n" % number for number in range(300))


def test_a_task_called_within_a_task_has_its_own_output(prefork: Worker) -> None:
    _, _, output = prefork.outcome("outer")
    assert output == b"outer begins\nouter ends SUCCESS\n"


def test_much_output_arrives_in_entries_of_at_most_16_kib(prefork: Worker) -> None:
    task_id, _, output = prefork.outcome("number_lines", 50_000)
    assert output == b"".join(b"line %d\n" % number for number in range(50_000))
    sizes = [len(fields[b"d"]) for _, fields in prefork.stored.entries(task_id)]
    assert max(sizes) <= 16 * 1024


def test_facts_of_task_and_run_are_noted(prefork: Worker) -> None:
    _, task, _ = prefork.outcome("say", "a word")
    assert task["name"] == "tests.say"
    assert task["args"] == "('a word',)"
    assert task["kwargs"] == "{}"
    assert task["result"] == "None"
    assert task["1.why"] == "first"
    assert task["queue"] == prefork.app.conf.task_default_queue
    assert int(task["queued_at"]) <= int(task["1.begun_at"]) <= int(task["1.ended_at"])


def test_a_run_knows_when_its_worker_has_received_it_and_its_task_sees_nothing_of_that() -> None:
    received = SimpleNamespace(request_dict={"id": "t"})
    at_ms = mark_received(received)
    furthers: list[dict[str, object]] = [{}, {"whose": "somebody's"}]
    for further in furthers:
        request = Context(received.request_dict | further)
        facts = run_facts("t", request, name="n", pid=1, locked=True, shown=None, pool="prefork")
        assert facts.received_ms == at_ms <= facts.begun_ms
        assert (request.headers or {}) == further
    assert Context({"id": "t"}).headers is None
    assert run_facts("t", Context({"id": "t"}), name="n", pid=1, locked=True, shown=None, pool="").received_ms == 0


def test_a_task_that_waits_for_a_pool_process_is_stored_as_queued(prefork: Worker, tmp_path: Path) -> None:
    go = tmp_path / "go"
    *_, last = [prefork.send("wait_until", str(go)) for _ in range(3)]  # one more than there are pool processes
    wait_for("the last one waits", lambda: prefork.stored.task(last).get("state") == "QUEUED")
    go.touch()
    task = prefork.stored.ended(last)
    assert (task["state"], task["name"]) == ("SUCCESS", "tests.wait_until")
    assert int(task["queued_at"]) < int(task["1.begun_at"])


def test_progress_is_noted(prefork: Worker) -> None:
    _, task, _ = prefork.outcome("progress", 10)
    assert task["progress"] == '{"current": 10, "total": 10, "info": {"at": 10}}'


def test_state_updates_are_understood_as_progress(prefork: Worker) -> None:
    _, task, _ = prefork.outcome("steps")
    assert task["progress"] == '{"current": 3, "total": 3, "info": null}'


def test_output_is_there_while_the_task_runs(prefork: Worker, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    task_id = prefork.send("wait_until", str(flag))
    wait_for("the first line", lambda: prefork.stored.output(task_id) == b"waiting\n")
    assert prefork.stored.task(task_id)["state"] == "RUNNING"
    flag.touch()
    assert prefork.stored.ended(task_id)["state"] == "SUCCESS"


def test_the_console_gets_everything_once(starter: Starter) -> None:
    worker = starter.start("prefork")
    worker.outcome("record_between_prints", 200)
    worker.outcome("below_python")
    worker.stop()
    lines = worker.log.splitlines()
    for number in range(200):
        assert lines.count(f"print {number}") == 1
        assert sum(line.endswith(f"record {number}") for line in lines) == 1
    for line in ("python", "os.write", "printf", "echo", "err", "system", "old stdout", "end"):
        assert lines.count(line) == 1


def test_the_console_is_not_louder_than_celery_makes_it(starter: Starter) -> None:
    worker = starter.start("prefork", "--loglevel", "WARNING")
    worker.outcome("log_levels")
    worker.stop()
    assert "warning" in worker.log
    assert not re.search(r"INFO/.*\binfo$", worker.log, re.MULTILINE)


def test_without_tee_prints_do_not_go_to_the_console(starter: Starter) -> None:
    worker = starter.start("prefork", tee="false")
    _, _, output = worker.outcome("record_between_prints", 3)
    worker.stop()
    assert b"print 1\n" in output
    assert "print 1" not in worker.log
    assert "record 1" in worker.log


def test_with_a_log_file_prints_go_there(starter: Starter, tmp_path: Path) -> None:
    log_file = tmp_path / "celery.log"
    worker = starter.start("prefork", "--logfile", str(log_file))
    worker.outcome("record_between_prints", 3)
    worker.stop()
    lines = log_file.read_text().splitlines()
    assert [line for line in lines if line.startswith("print")] == ["print 0", "print 1", "print 2"]
    assert sum(line.endswith("record 1") for line in lines) == 1


def test_a_fork_of_the_task_logs_into_the_run(starter: Starter) -> None:
    worker = starter.start("prefork")
    _, _, output = worker.outcome("log_in_a_fork")
    worker.stop()
    assert [line.split(b"] ")[-1] for line in output.splitlines()] == [b"from the child", b"from the parent"]
    assert worker.log.count("from the child") == 1
