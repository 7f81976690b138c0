"""The tree of errors: every leaf has a code of its own, a status and a sentence."""

from __future__ import annotations

import re

from livetask import access_errors, archive_errors, errors, search_errors, setting_errors

ROOMS = tuple(room.__name__ for room in (errors, setting_errors, access_errors, archive_errors, search_errors))


def _all(kind: type[errors.LivetaskError]) -> list[type[errors.LivetaskError]]:
    children = [child for child in kind.__subclasses__() if child.__module__ in ROOMS]
    return [kind, *(deeper for child in children for deeper in _all(child))]


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in _all(errors.LivetaskError)]
    assert len(codes) == len(set(codes))


def test_the_drawing_at_the_head_shows_every_error() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or "")) | {"LivetaskError"}
    assert drawn == {kind.__name__ for kind in _all(errors.LivetaskError)}


def test_a_long_hostile_value_is_shortened_in_the_sentence() -> None:
    sentence = str(errors.TaskIdInvalid("<script>\n" * 1000))
    assert len(sentence) < 300
    assert "\n" not in sentence
