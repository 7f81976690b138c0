"""The protocol's own tests for servers of durable streams, against livetask; docs/durable-streams.md says which."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

import bootstrap
from tests.conformance.writable import Writable
from tests.oracle.verdict import judging
from tests.server.serving import served
from tests.system.rig import CHECKOUT

HERE = Path(__file__).parent
VITEST = CHECKOUT / "node_modules" / "vitest" / "vitest.mjs"
WITHIN_S = 300


@dataclass(frozen=True)
class Outcome:
    """One of the suite's tests. ``status``: passed, failed or skipped."""

    name: str
    status: str
    why: str


def left_out() -> list[str]:
    """The names in the document's table, ``*`` at the end for all that begin so."""
    text = (CHECKOUT / "docs" / "durable-streams.md").read_text("utf-8").partition("| left out | why |")[2]
    return re.findall(r"^\| `([^`]+)` \| \S", text, re.MULTILINE)


def pattern_of(names: list[str]) -> str:
    """What the names of all other tests match, as JavaScript reads it."""
    escaped = (re.sub(r"[.*+?^${}()|\[\]\\]", r"\\\g<0>", name.removesuffix("*")) for name in names)
    ends = ("" if name.endswith("*") else "$" for name in names)
    return f"^(?!{'|'.join(one + end for one, end in zip(escaped, ends, strict=True))})"


@pytest.fixture
def node() -> str:
    """The node that runs the suite."""
    return shutil.which("node") or bootstrap.npm_command()[0]


async def outcomes(node: str, url: str, result: Path, pattern: str) -> list[Outcome]:
    """Run the suite; how each of its tests ended."""
    known = os.environ | {"STREAMS_URL": url.rstrip("/"), "STREAMS_RUN": pattern}
    line = [node, str(VITEST), "run", "--config", str(HERE / "vitest.config.mjs")]
    line += ["--reporter", "json", "--outputFile", str(result)]
    process = await asyncio.create_subprocess_exec(
        *line, env=known, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(WITHIN_S):
        said, _ = await process.communicate()
    assert result.exists(), said.decode(errors="replace")[-3000:]
    found: dict[str, Any] = json.loads(result.read_text("utf-8"))
    return [
        Outcome(one["fullName"], one["status"], "\n".join(one["failureMessages"])[:600])
        for file in found["testResults"]
        for one in file["assertionResults"]
    ]


async def test_the_read_side_passes_the_protocols_own_tests_but_for_those_that_the_document_names(
    redis_url: str, tmp_path: Path, node: str
) -> None:
    names = left_out()
    async with (
        served(redis_url, poll_s=1, cors_allowed_origins="https://example.com") as livetask,
        TestServer(Writable(str(livetask.make_url("/")), redis_url).app()) as writable,
    ):
        found = await outcomes(node, str(writable.make_url("/")), tmp_path / "result.json", pattern_of(names))
    failed = [f"{one.name}: {one.why}" for one in found if one.status == "failed"]
    with judging():
        wrong = [one for one in failed if "timed out in" not in one]
        assert not wrong, "\n".join(wrong)
    assert not failed, "not within 60 s: " + "\n".join(failed)
    passed = {one.name for one in found if one.status == "passed"}
    assert len(passed) >= 130, sorted(passed)
    skipped = {one.name for one in found} - passed
    for name in names:
        assert any(re.fullmatch(re.escape(name).replace(r"\*", ".*"), one) for one in skipped), f"{name} names no test"
