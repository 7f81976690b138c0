"""Output that wants to harm the page, and what people need who do not see it: it stays text, and stays readable."""

from __future__ import annotations

import re
import time

import pytest
from playwright.async_api import expect

from tests.browser.watching import Watched, line_of, numbered, wait_until
from tests.server.serving import Writer
from tests.system.rig import CHECKOUT, Redis

HOSTILE = [
    "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 2'>",
    "\x1b]8;;javascript:window.harmed=3\x07click\x1b]8;;\x07",
    "\x1b]8;;data:text/html,<script>alert(1)</script>\x07click\x1b]8;;\x07",
    '\x1b]8;;https://example.org/" onmouseover="window.harmed=4\x07click\x1b]8;;\x07',
    "\x1b]0;a title\x07\x1b]52;c;aGFybQ==\x07after the title",
    "\x1bP+q544e\x1b\\after the string",
    "user \u202egnp.exe\u202c done \u2066isolated\u2069",
    "nul \x00 bell \x07 del \x7f",
]


async def test_output_that_wants_to_be_more_stays_text(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "attack-1").begin().write("".join(f"{line}\n" for line in HOSTILE).encode())
    await watched.task("attack-1")
    rows = await watched.wait_for_rows("all lines", lambda rows: len(rows) == len(HOSTILE))
    texts = [row["text"] for row in rows]
    assert texts[0] == HOSTILE[0]
    assert texts[1:4] == ["click"] * 3
    assert texts[4:6] == ["after the title", "after the string"]
    assert texts[6] == "user <U+202E>gnp.exe<U+202C> done <U+2066>isolated<U+2069>"
    assert texts[7] == "nul \u2400 bell \u2407 del \u2421"
    links = "document.querySelector('livetask-log').shadowRoot.querySelectorAll('.text a').length"
    assert await watched.page.evaluate(links) == 0
    for text in await watched.page.locator("livetask-log .row.line .text").all():
        await text.hover()
    run.write(b"\x1b]8;;https://example.org/a\x07a link\x1b]8;;\x07\n")
    link = watched.page.locator("livetask-log .text a")
    await expect(link).to_have_attribute("rel", "noopener noreferrer")
    await expect(link).to_have_attribute("href", "https://example.org/a")
    assert await watched.page.evaluate("window.harmed") is None
    assert await watched.page.title() != "a title"
    assert await watched.breaches() == []


@pytest.mark.parametrize(
    ("name", "bomb"),
    [
        ("osc", b"\x1b]0;" * 300_000),
        ("dcs", b"\x1bP" + b"x" * 2_000_000 + b"\n"),
        ("csi", b"\x1b[" + b"1;" * 1_000_000 + b"m\n"),
        ("up", b"\x1b[99A\x1b[2J\x1b[99B\x1b[L" * 50_000),
        ("links", b"\x1b]8;;https://a.example/\x07x" * 50_000),
        ("marks", "a\u0301".encode() * 2 + "\u0301".encode() * 500_000),
    ],
)
async def test_a_bomb_does_not_stop_the_page(name: str, bomb: bytes, store: Redis, watched: Watched) -> None:
    run = Writer(store.url, f"bomb-{name}").begin().write(b"before\n")
    await watched.task(f"bomb-{name}")
    await watched.wait_for_line(1, "before")
    for at in range(0, len(bomb), 16_384):
        run.write(bomb[at : at + 16_384])
    run.write(b"\x1b\\\x07\x1b[0m\n" + numbered(1, 50))
    last = run.at.line - 1
    await watched.wait_for_line(last, line_of(50))
    began = time.monotonic()
    assert await watched.page.evaluate("1 + 1") == 2
    assert time.monotonic() - began < 5


async def test_a_million_empty_lines_are_scrolled_like_any_others(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "empty-1", cap_bytes=64 << 20).begin()
    for _ in range(100):
        run.write(b"\n" * 10_000)
    await watched.task("empty-1", "#L500000")
    row = await watched.wait_for_line(500_000, "")
    assert row["marked"]
    await watched.page.keyboard.press("G")
    await watched.wait_for_line(1_000_000)
    count = "document.querySelector('livetask-log').shadowRoot.querySelectorAll('*').length"
    assert await watched.page.evaluate(count) < 1500


async def test_what_is_new_is_read_out_when_that_is_wanted(store: Redis, watched: Watched) -> None:
    run = Writer(store.url, "spoken-1").begin().write(numbered(1, 10))
    await watched.task("spoken-1")
    await watched.wait_for_line(10)
    log = watched.page.get_by_role("log")
    await expect(log).to_have_attribute("aria-live", "off")
    await watched.page.get_by_role("button", name="Announce").click()
    spoken = watched.page.locator("livetask-log .hide[role=status]")
    run.write(numbered(11, 30))
    await expect(spoken).to_have_text(f"20 new lines. {line_of(30)}", timeout=90_000)


async def test_the_keyboard_reaches_every_tool_and_comes_back_to_the_log(store: Redis, watched: Watched) -> None:
    Writer(store.url, "tab-1").begin().write(numbered(1, 300)).finish()
    await watched.task("tab-1")
    await watched.wait_for_line(300)
    await watched.page.keyboard.press("/")
    focused = "document.querySelector('livetask-log').shadowRoot.activeElement?.outerHTML.slice(0, 200) ?? ''"
    seen = ""

    async def reached() -> bool:
        nonlocal seen
        await watched.page.keyboard.press("Tab")
        now = await watched.page.evaluate(focused)
        seen += now
        return 'role="log"' in now

    await wait_until("the log has the focus", reached)
    for name in (">Aa<", ">.*<", "to-line", ">Time<", ">Wrap<", ">Follow<", ">Top<", ">End<", ">Download<"):
        assert name in seen
    await watched.page.keyboard.press("PageUp")
    await watched.wait_for_rows("a page further up", lambda rows: rows[-1]["line"] < 300)
    assert 'role="log"' in await watched.page.evaluate(focused)


# ---- contrast


def themes() -> dict[str, dict[str, str]]:
    """The variables of each theme."""
    text = (CHECKOUT / "static" / "tokens.css").read_text()
    known = re.findall(r"(--[\w-]+): (?:light-dark\((#\w+), (#\w+)\)|([^;]+));", text)
    return {
        "light": {name: light or same for name, light, _, same in known},
        "dark": {name: dark or same for name, _, dark, same in known},
    }


def luminance(colour: str) -> float:
    digits = colour.strip().lstrip("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["--log-ground", "--row-hover"])
def test_the_sixteen_colours_can_be_read(theme: str, ground: str) -> None:
    known = themes()[theme]
    names = [*(f"--c{number}" for number in range(16)), "--log-ink"]
    poor = {name: round(contrast(known[name], known[ground]), 2) for name in names}
    assert {name: found for name, found in poor.items() if found < 4.5} == {}


def test_the_colours_without_a_theme_are_those_of_the_light_one() -> None:
    light = themes()["light"]
    for name in ("log", "ansi"):
        text = (CHECKOUT / "static" / "log" / f"{name}.css").read_text()
        for variable, fallback in re.findall(r"var\((--(?:c\d+|log-\w+)), (#\w+)\)", text):
            assert fallback == light[variable], (name, variable)


@pytest.mark.parametrize(
    "pair", [("--on-match", "--match"), ("--on-match", "--chosen-match"), ("--on-selected", "--selected")]
)
def test_matches_and_what_is_selected_can_be_read(pair: tuple[str, str]) -> None:
    text = (CHECKOUT / "static" / "log" / "log.css").read_text()
    ink, ground = (re.search(rf"var\({name}, (#\w+)\)", text) for name in pair)
    assert ink
    assert ground
    assert contrast(ink[1], ground[1]) >= 4.5
