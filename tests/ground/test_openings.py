"""A script has of the shared opening what it calls."""

from __future__ import annotations

import re

from livetask.scripts import NAMES, script, with_opening

OPENING = """-- What it is about.

-- The first.
local function first()
  return 1
end

local kept = 2

local function second()
  return first() + kept
end

local function third()
  return second()
end
"""


def test_a_part_of_the_opening_is_there_if_the_script_calls_it_or_something_that_it_calls() -> None:
    assert with_opening(OPENING, "return 0") == "local kept = 2\n\nreturn 0"
    assert "function first" in with_opening(OPENING, "return first()")
    found = with_opening(OPENING, "return second()")
    assert found.index("function first") < found.index("local kept") < found.index("function second")
    assert "function third" not in found


def test_no_script_calls_a_function_that_is_not_there() -> None:
    for name in NAMES:
        text = re.sub(r"--[^\n]*", "", script(name).text)
        known = set(re.findall(r"local function (\w+)", text)) | {"unpack", "tonumber", "tostring", "pairs", "ipairs"}
        called = set(re.findall(r"(?<![.\w:])([a-z_]\w*)\(", re.sub(r"'[^']*'", "''", text)))
        assert called - {"function", "and", "or", "if", "not"} <= known, name
