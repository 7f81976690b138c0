"""Faults put into livetask on purpose: whether the models find each of them.

``python -m tests.models.mutants`` puts in one after the other, each into processes of its own, simulates the hub and
lives through runs with it until something is found wrong, and prints a table. A fault is a piece of a module's text, or
of a script's, that is replaced before it is loaded.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from types import ModuleType

SIMULATED, LIVED = "hub in simulated time", "a run's life"
STEPS, SEEDS = 2000, 3


@dataclass(frozen=True)
class Mutant:
    """``module``: dotted, or the name of a script with .lua. ``model``: which of the two is to find it."""

    name: str
    module: str
    was: str
    becomes: str
    model: str = SIMULATED


S = "livetask.server."

MUTANTS = (
    Mutant(
        "an end is told before all output was",
        S + "subscription",
        "if run.how is not None and self.cursor == cursor:",
        "if run.how is not None:",
    ),
    Mutant(
        "an end that is taken back is not taken back for viewers",
        S + "subscription",
        "if self._told is not None and run.how != self._told:",
        "if False:",
    ),
    Mutant(
        "the window is not kept",
        S + "subscription",
        "self._window + self._acked - self._base - self.cursor.position.byte",
        "self._window",
    ),
    Mutant(
        "an acknowledgement frees nothing",
        S + "subscription",
        "self._acked = max(self._acked, self._sent_at(cursor))",
        "self._sent_at(cursor)",
    ),
    Mutant("nobody is told that they have it all", S + "subscription", "return CaughtUp(self.cursor)", "return None"),
    Mutant(
        "what has disappeared is not waited for",
        S + "subscription",
        "return now_s - self._lost_since_s >= self._hold_s",
        "return True",
    ),
    Mutant(
        "a hole in the stream is stepped over",
        S + "slices",
        "            items.append(_hole(at, item.start, head))",
        "            pass",
    ),
    Mutant(
        "output that is there is said to be trimmed",
        S + "slices",
        "        items.append(item)\n        size +=",
        "        items.append(Gap(item.start, item.end, 'trimmed') if size else item)\n        size +=",
    ),
    Mutant(
        "a character is cut in two",
        S + "pieces",
        "held = incomplete(data) if text and not is_final else 0",
        "held = 0",
    ),
    Mutant(
        "half a character waits for ever before a large entry",
        S + "pieces",
        "and (pieces or _is_something(waiting, text))",
        "",
    ),
    Mutant(
        "what a round was to read is forgotten when Redis goes away",
        S + "pump",
        "            self._ready |= dict.fromkeys(follower for follower in ready if follower not in served)\n",
        "",
    ),
    Mutant(
        "what a round was to look at is forgotten when Redis goes away",
        S + "pump",
        "            self._stale |= stale\n            self._work.set()\n            raise",
        "            raise",
    ),
    Mutant(
        "who waits for a turn that does not come is forgotten",
        S + "pump",
        "        self.kick(follower for follower in waiting",
        "        list(follower for follower in waiting",
    ),
    Mutant("who had no room is not served when there is room again", S + "pump", "            self.kick(free)\n", ""),
    Mutant(
        "news are not looked at, but for a lease",
        S + "hub",
        'if bell.what != "output":\n            self._pump.look(feed)\n            if bell.what == "begin":',
        'if bell.what != "output":\n            if bell.what == "never":',
    ),
    Mutant(
        "a window that opens wakes nobody",
        S + "hub",
        "            self._pump.kick([follower])\n\n",
        "            pass\n\n",
    ),
    Mutant(
        "leases are taken once and never renewed",
        S + "hub",
        "if everything else again",
        "if self._renew_all else again",
    ),
    Mutant(
        "bells that begin anew after a flush are not heard",
        S + "hub",
        "tuple(min(pair, key=_bell_order) for pair in zip(last_ids, ends, strict=True))",
        "tuple(last_ids)",
    ),
    Mutant(
        "a changed run is not told",
        S + "feed",
        "return list(task.runs) if before is None else changed_runs(before, task)",
        "return []",
    ),
    Mutant(
        "an entry is stored wherever it is sent",
        "append.lua",
        "if ARGV[4] ~= known[2] then return { 'GAP', known[2] } end",
        "",
        LIVED,
    ),
    Mutant(
        "what is sent again is stored again",
        "append.lua",
        "if to <= have then return { 'DUP', known[2] } end",
        "",
        LIVED,
    ),
    Mutant(
        "the last end wins",
        "finish.lua",
        "if known[3] and (known[3] ~= 'LOST' or how == 'LOST') then",
        "if false then",
        LIVED,
    ),
    Mutant(
        "trimming says nothing",
        "append.lua",
        "run .. '.first', first, run .. '.first_why', 'trimmed')",
        "run .. '.first_why', 'trimmed')",
        LIVED,
    ),
    Mutant("the archive leaves out an entry", S + "archive.moving", "found += raw\n", "found += raw[1:]\n", LIVED),
)


class TextGone(ValueError):
    """What a fault replaces is not there any more: the fault is to be written anew."""


def put_in(mutant: Mutant) -> None:
    """Load the module, or the scripts, with the fault. Raises TextGone."""
    if mutant.module.endswith(".lua"):
        from livetask import scripts

        true, name = scripts.script, mutant.module.removesuffix(".lua")

        def script(asked: str) -> scripts.Script:
            found = true(asked)
            text = _changed(found.text, mutant) if asked == name else found.text
            return scripts.Script(asked, text, sha1(text.encode(), usedforsecurity=False).hexdigest())

        scripts.script = script  # type: ignore[assignment]
        return
    spec = importlib.util.find_spec(mutant.module)
    assert spec is not None
    assert spec.origin is not None
    module = ModuleType(mutant.module)
    module.__spec__, module.__file__, module.__package__ = spec, spec.origin, mutant.module.rpartition(".")[0]
    sys.modules[mutant.module] = module
    text = _changed(Path(spec.origin).read_text("utf-8"), mutant)
    exec(compile(text, spec.origin, "exec"), module.__dict__)


def _changed(text: str, mutant: Mutant) -> str:
    if mutant.was not in text:
        raise TextGone(f"{mutant.name!r}: {mutant.module} has no such text any more")
    return text.replace(mutant.was, mutant.becomes)


def look_for(mutant: Mutant, url: str) -> None:
    """Put the fault in, and let its model run; raises what the model says of it."""
    put_in(mutant)
    logging.disable(logging.ERROR)
    if mutant.model == SIMULATED:
        from tests.models.hub_in_time import simulate

        for seed in range(SEEDS):
            simulate(seed, STEPS)
        return
    from hypothesis import Phase

    from tests.models.test_models import live

    live(url, 50, [Phase.generate])  # no simpler example is looked for


def found(number: int, url: str) -> tuple[str, float]:
    """(what the models say of one fault, '' if nothing; after how many seconds)."""
    began_s = time.monotonic()
    command = [sys.executable, "-W", "ignore", "-m", "tests.models.mutants", "--one", str(number), "--url", url]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=600, check=False)
    return ran.stdout.strip(), time.monotonic() - began_s


def main() -> int:
    """The exit status: how many faults were not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.models.mutants", description=__doc__.splitlines()[0])
    parser.add_argument("--one", type=int, help="only that one, in this process")
    parser.add_argument("--url", default="", help="a Redis that may be written to; default: one of its own")
    given = parser.parse_args()
    if given.one is not None:
        try:
            look_for(MUTANTS[given.one], given.url)
        except TextGone:
            raise
        except Exception as error:
            print(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:90]}")
        return 0
    from livetask.service.embedded import find_program
    from tests.real.redis_servers import running_server

    missed = 0
    with tempfile.TemporaryDirectory() as place, running_server(find_program().path, Path(place)) as server:
        for number, mutant in enumerate(MUTANTS):
            said, took_s = found(number, given.url or server.url)
            missed += not said
            print(f"{'found' if said else 'NOT FOUND':9} {took_s:5.1f} s  {mutant.name:62}  {said}", flush=True)
    print(f"{len(MUTANTS) - missed} of {len(MUTANTS)} faults were found")
    return missed


if __name__ == "__main__":
    sys.exit(main())
