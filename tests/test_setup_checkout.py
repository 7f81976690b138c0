"""The checkout sets itself up: locks, page modules, make's targets, the wheel."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

import bootstrap
from tests.system.rig import CHECKOUT, Running, free_port

LOCKS = [*sorted((CHECKOUT / "requirements").glob("*.txt")), *CHECKOUT.glob("**/chromium/package-lock.json")]
LOCKS += [CHECKOUT / "package-lock.json"]
TARGETS = {
    "help", "run", "run-web", "run-worker", "run-redis", "demo", "test", "test-nobrowser", "check", "lint", "fmt",
    "cov", "bench", "bench-quick", "bench-parts", "chaos", "audit", "lock", "dist", "clean",
}  # fmt: skip


# ---------------------------------------------------------------- locks


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_holds_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "sha256:" in text or "sha512-" in text
    assert "://" not in text
    assert not re.search(r"^--?(index|extra|find|i |f )", text, re.MULTILINE)


def test_the_development_lock_has_the_versions_of_the_run_lock() -> None:
    run, dev = (_pinned(CHECKOUT / "requirements" / f"{name}.txt") for name in ("run", "dev"))
    assert run
    assert run.items() <= dev.items()


def test_the_run_lock_holds_all_that_livetask_depends_on() -> None:
    import tomllib

    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [re.split(r"[^\w-]", line)[0] for line in [*project["dependencies"], *extras["embedded"], *extras["demo"]]]
    assert set(wanted) <= set(_pinned(CHECKOUT / "requirements" / "run.txt"))


def _pinned(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(), re.MULTILINE))


# ---------------------------------------------------------------- make


def test_make_help_lists_every_target_with_what_it_does() -> None:
    said = _said(["make", "help"])
    listed = dict(re.findall(r"make ([a-z-]+) +(\S.*)", said))
    assert set(listed) == TARGETS
    assert _said(["make"]) == said, "plain `make` changes nothing, it helps"


def test_make_does_nothing_when_all_is_set_up(tmp_path: Path) -> None:
    """A warm start must not look at packages again; a changed lock must."""
    place = tmp_path / "checkout"
    place.mkdir()
    for name in ("Makefile", "bootstrap.py", "pages.mjs", "pyproject.toml", "package.json", "package-lock.json"):
        shutil.copy(CHECKOUT / name, place)
    shutil.copytree(CHECKOUT / "requirements", place / "requirements")
    stamp = place / ".venv" / "run.stamp"
    stamp.parent.mkdir()
    stamp.touch()
    assert "bootstrap.py" not in _said(["make", "-n", "run"], place)
    later = stamp.stat().st_mtime + 1
    os.utime(place / "requirements" / "run.txt", (later, later))
    assert "bootstrap.py run" in _said(["make", "-n", "run"], place)


def _said(command: list[str], place: Path = CHECKOUT) -> str:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---------------------------------------------------------------- the bootstrap


def test_pip_settings_of_the_machine_reach_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"index-url": "a", "extra-index-url": "b c", "find-links": "d e", "cert": "f"}
    monkeypatch.setattr(bootstrap, "pip_settings", lambda: settings)
    for name in (*bootstrap.UV_NAMES.values(), "UV_INDEX_STRATEGY"):
        monkeypatch.delenv(name, raising=False)
    made = bootstrap.uv_environment()
    assert (made["UV_DEFAULT_INDEX"], made["UV_INDEX"], made["UV_FIND_LINKS"]) == ("a", "b c", "d,e")
    assert (made["SSL_CERT_FILE"], made["UV_INDEX_STRATEGY"]) == ("f", "unsafe-best-match")
    locking = bootstrap.uv_environment(locking=True)
    assert locking["UV_DEFAULT_INDEX"] == "a"
    assert not {"UV_INDEX", "UV_FIND_LINKS"} & set(locking)


def test_what_is_set_for_uv_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "pip_settings", lambda: {"index-url": "from pip"})
    monkeypatch.setenv("UV_DEFAULT_INDEX", "from the user")
    assert bootstrap.uv_environment()["UV_DEFAULT_INDEX"] == "from the user"


def test_the_environment_wins_over_pip_files(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = ":env:.index-url='from the environment'\nglobal.index-url='from a file'\nglobal.cert='/c'\nodd line\n"

    def run(*_: Any, **__: Any) -> Any:
        return subprocess.CompletedProcess([], 0, listed, "")

    monkeypatch.setattr(bootstrap.subprocess, "run", run)
    assert bootstrap.pip_settings() == {"index-url": "from the environment", "cert": "/c"}


def test_a_python_that_is_too_old_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 2))
    with pytest.raises(bootstrap.SetUpFailed, match=r"Python 3\.11 or later is needed.*3\.9\.2"):
        bootstrap.check_python()


def test_a_page_needs_no_module_that_is_not_its_own() -> None:
    """A page's content security policy has no import map, so a module must not import others by bare names."""
    modules = sorted(path for path in (CHECKOUT / "static").rglob("*.js") if bootstrap.BUILT not in path.parents)
    assert len(modules) > 50
    for module in modules:
        assert not re.search(r"\b(?:from|import)\s*\(?[\"'](?![./])\w", module.read_text("utf-8")), module


def test_certificates_that_pip_is_told_of_reach_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "pip_settings", lambda: {"cert": "/our/certificates.pem"})
    monkeypatch.delenv("NODE_EXTRA_CA_CERTS", raising=False)
    assert bootstrap.node_environment()["NODE_EXTRA_CA_CERTS"] == "/our/certificates.pem"


# ---------------------------------------------------------------- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    _said([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place), "."])
    return next(place.glob("*.whl"))


def test_the_wheel_holds_pages_scripts_and_modules_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    static = CHECKOUT / "static"
    # what was built of it, where that is there
    for folder, name in (
        (CHECKOUT / "templates", "templates"),
        (bootstrap.BUILT if bootstrap.BUILT.is_dir() else static, "static"),
    ):
        for path in folder.rglob("*"):
            assert path.is_dir() or f"livetask/{name}/{path.relative_to(folder)}" in names
    assert {"livetask/static/livetask-log.js", "livetask/scripts/append.lua", "livetask/py.typed"} <= names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"livetask", f"{wheel.name.split('-py3')[0]}.dist-info"}


def test_the_wheel_alone_serves_the_dashboard(wheel: Path, tmp_path: Path, redis_url: str) -> None:
    """In an environment of its own that has livetask's dependencies, but not the checkout."""
    place = tmp_path / "clean"
    venv.create(place, symlinks=True, with_pip=False)
    packages = next(place.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(packages)
    # the dependencies come from here; the checkout's own .pth is not read from a path
    dependencies = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    (packages / "dependencies.pth").write_text(f"{dependencies}\n")
    python = str(place / "bin" / "python")
    where = _said([python, "-c", "import livetask; print(livetask.__file__)"], tmp_path)
    assert where.startswith(str(place))
    assert "serve" in _said([python, "-m", "livetask", "--help"], tmp_path)

    port = free_port()
    line = [python, "-m", "livetask", "serve", "--redis-url", redis_url, "--port", str(port)]
    running = Running.start(line, tmp_path / "wheel.log", {"PYTHONPATH": ""})
    try:
        running.wait_for_log(f"livetask is at http://127.0.0.1:{port}/")
        assert "<title>" in _fetched(port, "/")
        assert "export" in _fetched(port, "/static/livetask-log.js")
    finally:
        running.stop()


def _fetched(port: int, path: str) -> str:
    from urllib.request import urlopen

    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=90) as answer:
        return str(answer.read().decode())


def test_the_entry_points_name_what_exists(wheel: Path) -> None:
    packed = zipfile.ZipFile(wheel)
    name = next(name for name in packed.namelist() if name.endswith("entry_points.txt"))
    text = packed.read(name).decode()
    assert "livetask = livetask.cli:main" in text
    assert "[celery.commands]\nlivetask = livetask.cli:celery_command" in text
    from livetask import cli

    assert callable(cli.main)
    assert callable(cli.celery_command)


def test_running_needs_no_package_of_others_but_the_one_that_joins_the_pages_modules() -> None:
    package = json.loads((CHECKOUT / "package.json").read_text())
    assert set(package["dependencies"]) == {"esbuild"}
