"""The demo's tasks. They do real work, and all that they print comes from it.

They are written as any Celery user would write them: print, logging, tqdm, subprocesses. Only ``make_venv`` and
``train`` use what livetask offers to tasks, to show it.
"""

from __future__ import annotations

import ast
import compileall
import contextlib
import ctypes
import faulthandler
import hashlib
import json
import random
import socket
import sys
import tempfile
import threading
import time
import urllib.request
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from billiard.process import current_process
from celery import Task, shared_task
from celery.utils.log import get_task_logger
from tqdm import tqdm

from livetask.demo import corpus
from livetask.demo.model import CONTEXT, Model
from livetask.errors import CommandFailed
from livetask.worker import emit_progress, run

# a name as an application of its own has it: what livetask itself logs is no output of a task
log = get_task_logger("demo")


class ReportUnreadable(Exception):
    """What the task wrote before cannot be read again."""


class NoIndexReachable(Exception):
    """pip could not install the package."""


class NotInThisPool(Exception):
    """The task would take the whole worker down in this pool."""


@shared_task(name="demo.hash_python", bind=True)
def hash_python(self: Task[..., Any], seconds: float = 60.0, rounds: int = 15_000) -> dict[str, Any]:
    """Hash every file of the Python installation, with a tqdm bar.

    ``seconds``: stop after so long. ``rounds``: PBKDF2 rounds over each digest, what makes it slow.
    """
    files = corpus.stdlib_files()
    ends_at = time.monotonic() + seconds
    whole, size_bytes, done = hashlib.sha256(), 0, 0
    print(f"{len(files)} files of Python {sys.version.split()[0]} under {corpus.stdlib()}")
    with tqdm(total=len(files), unit="file", file=sys.stderr, mininterval=0.2) as bar:
        for path in files:
            if time.monotonic() > ends_at:
                tqdm.write(f"stopped after {seconds:g} s", file=sys.stdout)
                break
            data = path.read_bytes()
            digest = hashlib.pbkdf2_hmac("sha256", hashlib.sha256(data).digest(), b"livetask", rounds)
            whole.update(digest)
            size_bytes += len(data)
            done += 1
            bar.update()
            if done % 25 == 0:
                tqdm.write(f"{digest.hex()[:16]}  {len(data):>9,}  {corpus.shown(path)}", file=sys.stdout)
    print(f"{done} files, {size_bytes:,} bytes: {whole.hexdigest()}")
    return {"files": done, "bytes": size_bytes, "sha256": whole.hexdigest()}


@shared_task(name="demo.compile_stdlib")
def compile_stdlib(limit: int = 1200, levels: int = 3) -> dict[str, int]:
    """Compile the standard library to bytecode in a temporary directory, verbosely.

    ``limit``: how many modules at most. ``levels``: how many levels of optimisation, 1 to 3. Modules that are broken
    on purpose are reported and do not fail the task.
    """
    files = corpus.stdlib_files(".py")[:limit]
    compiled, failed, size_bytes = 0, 0, 0
    with tempfile.TemporaryDirectory(prefix="livetask-demo-") as place:
        target = Path(place)
        for path in files:
            name = corpus.shown(path)
            with redirected_cache(target):
                good = compileall.compile_file(
                    path,
                    ddir=str(Path(name).parent),
                    force=True,
                    optimize=list(range(levels)),  # type: ignore[arg-type]  # typeshed knows of one level only
                )
            compiled, failed = compiled + bool(good), failed + (not good)
        size_bytes = sum(path.stat().st_size for path in target.rglob("*.pyc"))
    print(f"\n{compiled} modules compiled, {failed} broken ones, {size_bytes:,} bytes of bytecode")
    return {"compiled": compiled, "failed": failed, "bytes": size_bytes}


@contextlib.contextmanager
def redirected_cache(target: Path) -> Iterator[None]:
    """Bytecode goes under ``target``, not beside its source."""
    before = sys.pycache_prefix
    sys.pycache_prefix = str(target)
    try:
        yield
    finally:
        sys.pycache_prefix = before


@shared_task(name="demo.make_venv")
def make_venv(package: str = "packaging") -> str:
    """Create a virtual environment and pip-install a small package in it, with this machine's pip settings.

    ``package``: what to install, a requirement as pip reads it.
    """
    with tempfile.TemporaryDirectory(prefix="livetask-demo-") as place:
        home = Path(place) / "venv"
        print(f"creating a virtual environment in {home}")
        emit_progress(0, 3, "venv")
        run([sys.executable, "-m", "venv", str(home)])
        python = str(home / "bin" / "python")
        emit_progress(1, 3, "pip install")
        try:
            run([python, "-m", "pip", "--timeout", "15", "--retries", "1", "install", package], pty=True)
        except CommandFailed as failure:
            raise NoIndexReachable(
                f"pip could not install {package!r} (exit status {failure.returncode}): its own words are in the "
                "log above. This task needs a package index that pip can reach; see `pip config list`"
            ) from failure
        emit_progress(2, 3, "pip list")
        run([python, "-m", "pip", "list", "-v"])
        run([python, "-m", "pip", "check"])
        emit_progress(3, 3, "done")
    return package


@shared_task(name="demo.train", bind=True)
def train(self: Task[..., Any], steps: int = 120_000, rounds: int = 12, seed: int = 7) -> dict[str, float]:
    """Train a small language model in plain Python on the standard library's own text.

    ``steps``: of gradient descent, in all. ``rounds``: how often it is measured and a sample written.
    ``seed``: of chance.
    """
    chance = random.Random(seed)
    text = "".join(path.read_text("utf-8", "ignore") for path in chance.sample(corpus.stdlib_files(".py"), 60))
    model = Model("".join(sorted({sign for sign in text if sign == "\n" or " " <= sign <= "~"})))
    numbers = model.encoded(text)
    split = len(numbers) * 9 // 10
    learnt, kept = numbers[:split], numbers[split:]
    log.info("%d characters to learn from, %d kept to measure by", len(learnt), len(kept))
    log.info("%d weights, alphabet %r", len(model.alphabet) ** 2 * CONTEXT, model.alphabet)

    rate, best, each = 0.5, model.loss(kept, 400), max(1, steps // rounds)
    for step in range(1, steps + 1):
        place = chance.randrange(CONTEXT, len(learnt))
        loss = model.learn(learnt[place - CONTEXT : place], learnt[place], rate)
        if step % max(1, each // 8) == 0:
            log.debug("step %d: loss of one character %.3f", step, loss)
            emit_progress(step, steps, f"loss {best:.3f}")
        if step % each == 0:
            measured = model.loss(kept, 400)
            log.info("step %d of %d: loss %.4f, rate %.3f", step, steps, measured, rate)
            print(f"    it writes: {model.written(60, seed)!r}")
            if measured > best - 0.005:
                rate /= 2
                log.warning("no better than %.4f: the rate is halved to %.3f", best, rate)
            best = min(best, measured)
            self.update_state(state="PROGRESS", meta={"current": step, "total": steps})
    return {"loss": round(best, 4)}


@shared_task(name="demo.fail")
def fail(modules: int = 600) -> None:
    """Write a report on the standard library's code, read it again, and fail on its last record, with a traceback.

    ``modules``: how many to look into.
    """
    with tempfile.TemporaryDirectory(prefix="livetask-demo-") as place:
        report = Path(place) / "report.jsonl"
        with report.open("w") as lines:
            for path in corpus.stdlib_files(".py")[:modules]:
                record = surveyed(path)
                print("{functions:5} functions {classes:4} classes {nodes:7} nodes  {module}".format(**record))
                lines.write(json.dumps(record) + "\n")
        # what a full disk does to the last record
        with report.open("r+") as lines:
            lines.truncate(report.stat().st_size - 20)
        print(f"\nreading {report.name} again", flush=True)
        read_report(report)


def surveyed(path: Path) -> dict[str, Any]:
    """What a module is made of; one that cannot be parsed is made of nothing."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (SyntaxError, ValueError) as error:
        print(f"skipping {corpus.shown(path)}: {error}", file=sys.stderr)
        nodes = []
    functions = sum(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) for node in nodes)
    classes = sum(isinstance(node, ast.ClassDef) for node in nodes)
    return {"functions": functions, "classes": classes, "nodes": len(nodes), "module": corpus.shown(path)}


def read_report(report: Path) -> list[dict[str, Any]]:
    """The records of a report; raises ReportUnreadable."""
    records = []
    for number, line in enumerate(report.read_text().splitlines(), 1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            raise ReportUnreadable(f"{report.name}, record {number}: {line[-60:]!r}") from error
    return records


@shared_task(name="demo.retry", bind=True)
def retry(self: Task[..., Any], failures: int = 2, countdown: float = 3.0) -> str:
    """Ask a service that is not there yet, try again later, and succeed when it is.

    ``failures``: how often it is not there. ``countdown``: seconds between two tries.
    """
    tries = self.request.retries
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    print(f"try {tries + 1}: asking 127.0.0.1:{port}", flush=True)
    with contextlib.ExitStack() as stack:
        if tries >= failures:
            stack.enter_context(served(port))
        try:
            answer = str(urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read(), "utf-8")
        except OSError as error:
            log.warning("%s; once more in %g s", error, countdown)
            raise self.retry(exc=error, countdown=countdown, max_retries=failures) from error
    print(answer)
    return answer


class Answering(BaseHTTPRequestHandler):
    """Tells who asks which Python answers."""

    def do_GET(self) -> None:
        body = f"Python {sys.version.split()[0]} is here".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def served(port: int) -> Iterator[None]:
    """The service that ``retry`` asks, for as long as the block lasts."""
    with HTTPServer(("127.0.0.1", port), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@shared_task(name="demo.segfault")
def segfault(files: int = 1000) -> None:
    """Compress files, then read memory that is not there: the process dies of it, with faulthandler's last words.

    ``files``: how many to compress before. Only in a prefork pool, where a child's death is not the worker's.
    """
    if type(current_process()).__name__ == "_MainProcess":
        raise NotInThisPool("this task kills its process, which here is the whole worker: use the prefork pool")
    faulthandler.enable(file=2)
    for number, path in enumerate(corpus.stdlib_files(".py")[:files], 1):
        data = path.read_bytes()
        packed = len(zlib.compress(data, 9))
        print(f"{number:4} {len(data):>9,} -> {packed:>8,}  {corpus.shown(path)}")
    print("and now a byte at address 0", flush=True)
    ctypes.string_at(0)


@shared_task(name="demo.flood")
def flood(lines: int = 300_000) -> int:
    """Print numbered lines as fast as it can. ``lines``: how many."""
    begun = time.monotonic()
    checksum = 0
    for number in range(1, lines + 1):
        checksum = zlib.crc32(b"%d" % number, checksum)
        print(f"{number:>9} {checksum:08x} {'#' * (number % 50)}")
    took_s = time.monotonic() - begun
    print(f"{lines:,} lines in {took_s:.1f} s, {lines / took_s:,.0f} a second")
    return lines
