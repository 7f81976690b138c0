"""Programs that draw on a terminal, and what they wrote on one: the fixtures that the log's screen is compared by.

    python -m tests.real.terminal_programs record    write tests/browser/terminal/*.out anew
    python -m tests.real.terminal_programs NAME      run one of them on this terminal

tqdm, rich and pip are the real ones; docker's way of drawing (up, erase, write, down, for each layer) is played.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import http.server
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

COLUMNS, ROWS = 100, 60
FIXTURES = Path(__file__).resolve().parents[1] / "browser" / "terminal"
_pause = threading.Event()


def pause(seconds: float = 0.02) -> None:
    """Let a program's clock move on, so that it draws again."""
    _pause.wait(seconds)


def tqdm_one() -> None:
    from tqdm import tqdm

    for _ in tqdm(range(30), desc="files", mininterval=0.01):
        pause()
    tqdm.write("done")


def tqdm_nested() -> None:
    from tqdm import tqdm, trange

    bars = [tqdm(total=20, position=place, desc=f"part {place}", leave=True) for place in range(4)]
    for step in range(20):
        for place, bar in enumerate(bars):
            if step % (place + 1) == 0:
                bar.update(place + 1)
        pause(0.01)
        if step == 10:
            tqdm.write("half of it is done")
    for bar in bars:
        bar.close()
    for _ in trange(2, desc="outer"):
        for _ in trange(3, desc="inner", leave=False):
            pause()


def rich_progress() -> None:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(force_terminal=True, width=COLUMNS, color_system="truecolor")
    with Progress(console=console, refresh_per_second=50) as progress:
        tasks = [progress.add_task(f"[red]layer {n}", total=40) for n in range(5)]
        for step in range(40):
            for place, task in enumerate(tasks):
                progress.update(task, advance=0.5 + place / 4)
            if step == 20:
                console.print("[bold]half[/] of it, in the [link=https://example.org/]middle[/link]")
            pause()
    console.print("after the bars")


def rich_live() -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    console = Console(force_terminal=True, width=COLUMNS, color_system="256")
    with Live(console=console, refresh_per_second=40, transient=False) as live:
        for step in range(25):
            table = Table("step", "value", "words")
            for row in range(1 + step // 3):
                table.add_row(str(step), str(row * step), "wide 日本語 text" if row % 2 else "plain")
            live.update(table)
            pause()
    with console.status("waiting"):
        pause(0.3)
    console.print("the [green]last[/] line", {"a": 1})


def docker_pull() -> None:
    layers = ["a1b2c3d4e5f6", "0f1e2d3c4b5a", "99aa88bb77cc", "123456abcdef", "fedcba654321", "5e4d3c2b1a00"]
    write = sys.stdout.write
    write("latest: Pulling from library/demo\n")
    for layer in layers:
        write(f"{layer}: Pulling fs layer\n")

    def draw(place: int, text: str) -> None:
        up = len(layers) - place
        write(f"\x1b[{up}A\x1b[2K\r{layers[place]}: {text}\r\x1b[{up}B")

    for share in range(0, 101, 4):
        for place in range(len(layers)):
            done = min(100, share * (place + 2) // 2)
            bar = "=" * (done // 4) + ">"
            draw(place, "Download complete" if done == 100 else f"Downloading [{bar:<26}] {done * 1000}kB/100MB")
    for place in range(len(layers)):
        draw(place, "Pull complete")
    write("Digest: sha256:0123\nStatus: Downloaded newer image for demo:latest\n")


def pip_download() -> None:
    """pip fetches a wheel of 3 MB from a server of our own, so slowly that its bar is drawn many times."""
    with tempfile.TemporaryDirectory() as place, _wheels(Path(place)) as address:
        command = [sys.executable, "-m", "pip", "download", "--no-cache-dir", "--no-deps", "--isolated"]
        command += ["--disable-pip-version-check", "--index-url", address, "demo-wheel"]
        subprocess.run(command, cwd=place, check=True)


@contextlib.contextmanager
def _wheels(place: Path) -> Iterator[str]:
    """The address of an index that holds one wheel."""
    folder = place / "simple" / "demo-wheel"
    folder.mkdir(parents=True)
    wheel = folder / "demo_wheel-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("demo_wheel.bin", os.urandom(3_000_000))
        packed.writestr("demo_wheel-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo-wheel\nVersion: 1.0\n")
        packed.writestr(
            "demo_wheel-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        packed.writestr("demo_wheel-1.0.dist-info/RECORD", "")
    (folder / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')

    class Slow(http.server.SimpleHTTPRequestHandler):
        def copyfile(self, source: object, outputfile: object) -> None:
            while data := source.read(100_000):  # type: ignore[attr-defined]  # a file, and a socket's file
                outputfile.write(data)  # type: ignore[attr-defined]
                pause()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Slow, directory=str(place)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()
        server.server_close()


PROGRAMS: dict[str, Callable[[], None]] = {
    "tqdm-one": tqdm_one,
    "tqdm-nested": tqdm_nested,
    "rich-progress": rich_progress,
    "rich-live": rich_live,
    "docker-pull": docker_pull,
    "pip-download": pip_download,
}


def recorded(name: str, within_s: float = 90) -> bytes:
    """What a program writes on a terminal of COLUMNS columns. Raises TimeoutError, CalledProcessError."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    env = os.environ | {
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
        "LINES": str(ROWS),
        "PYTHONWARNINGS": "ignore",
    }
    line = [sys.executable, "-m", "tests.real.terminal_programs", name]
    process = subprocess.Popen(line, stdin=its, stdout=its, stderr=its, env=env, start_new_session=True)
    os.close(its)
    guard = threading.Timer(within_s, process.kill)
    guard.start()
    parts: list[bytes] = []
    try:
        # a terminal whose last writer is gone answers with EIO
        with contextlib.suppress(OSError):
            while part := os.read(ours, 65536):
                parts.append(part)
        if process.wait(within_s) != 0:
            raise subprocess.CalledProcessError(process.returncode, line, b"".join(parts))
    finally:
        guard.cancel()
        os.close(ours)
    # what differs from one recording to the next for no reason of the program's own
    return re.sub(rb"127\.0\.0\.1:\d+", b"127.0.0.1:8000", b"".join(parts))


def main(argv: list[str]) -> int:
    if argv != ["record"]:
        PROGRAMS[argv[0]]()
        return 0
    FIXTURES.mkdir(exist_ok=True)
    for name in PROGRAMS:
        (FIXTURES / f"{name}.out").write_bytes(recorded(name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
