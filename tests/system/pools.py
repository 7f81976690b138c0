"""What each pool of Celery can show, as one table: the tests assert it in both directions, and the README shows it."""

from __future__ import annotations

from dataclasses import dataclass

POOLS = ("prefork", "solo", "threads", "gevent", "eventlet")

BELOW_PYTHON = ("old_stdout", "os_write", "os_write_raw", "c_write")
"""Kinds of writing that go past ``sys.stdout`` and ``sys.stderr``, straight to the process' file descriptors."""

NOT_SHOWN: dict[str, tuple[str, ...]] = {
    "prefork": (),
    "solo": (),
    "threads": BELOW_PYTHON,
    "gevent": BELOW_PYTHON,
    "eventlet": BELOW_PYTHON,
}
"""For each pool the kinds (of ``tests.system.apps.plan``) that it cannot show: they go where they went before."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the README's table: how it reads, and the kinds it stands for."""

    text: str
    kinds: tuple[str, ...]


ROWS = (
    Row(
        "`print`, `sys.stdout` and its `buffer`",
        ("print", "print_parts", "print_blank", "unicode", "nul", "raw_bytes"),
    ),
    Row("`sys.stderr`, told apart from stdout", ("stderr",)),
    Row("logging, every level", ("logging_root", "logging_task")),
    Row("child threads, executors", ("child_thread", "executor")),
    Row("`subprocess` that inherits stdout or stderr", ("subprocess", "subprocess_stderr")),
    Row("`os.write(1, ...)`, C code", ("os_write", "os_write_raw", "c_write")),
    Row("`sys.__stdout__`", ("old_stdout",)),
)


def table() -> str:
    """The README's table, in Markdown."""
    lines = ["| what a task writes with | " + " | ".join(POOLS) + " |", "|---|" + "---|" * len(POOLS)]
    for row in ROWS:
        lines.append(f"| {row.text} | " + " | ".join(_word(pool, row) for pool in POOLS) + " |")
    return "\n".join(lines)


def _word(pool: str, row: Row) -> str:
    missing = [kind for kind in row.kinds if kind in NOT_SHOWN[pool]]
    assert not missing or len(missing) == len(row.kinds), f"one word cannot say it: {pool}, {row.text}"
    return "no" if missing else "yes"
