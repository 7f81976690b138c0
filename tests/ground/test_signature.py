"""A form is made of a signature without guessing, and a call fits it just when Python could make it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping
from typing import Any, Literal, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetask.errors import ArgumentInvalid
from livetask.signature import DOC_BYTES, Parameter, TaskForm, allowed_by, parameters_of, shortened_doc


def form(function: Any) -> TaskForm:
    return TaskForm("a.task", parameters=parameters_of(function))


@pytest.mark.parametrize(
    ("hint", "types"),
    [
        ("int", ("integer",)),
        ("float", ("number",)),
        ("str | None", ("string", "null")),
        ("Optional[int]", ("integer", "null")),
        ("typing.Union[int, typing.List[str]]", ("integer", "array")),
        ("dict[str, list[int]]", ("object",)),
        ("Annotated[int, 'x']", ("integer",)),
        ("collections.abc.Mapping[str, int]", ("object",)),
        ("Any", None),
        ("int | Path", None),
        ("Optional[Path]", None),
        ("bytes", None),
        ("datetime.datetime", None),
        ("not a hint (", None),
        ("", None),
    ],
)
def test_a_hint_allows_what_json_knows_and_everything_where_it_does_not(
    hint: str, types: tuple[str, ...] | None
) -> None:
    assert allowed_by(hint) == (types, None)


def test_the_values_of_a_literal_are_choices() -> None:
    assert allowed_by("Literal['a', 2, None]") == (None, ("a", 2, None))
    assert allowed_by("Literal['a'] | None") == (None, ("a", None))
    assert allowed_by("Literal[Colour.RED]") == (None, None)


def test_real_hints_read_like_those_that_are_text() -> None:
    def takes(a, b, c, d): ...  # type: ignore[no-untyped-def]

    takes.__annotations__ = {"a": Optional[int], "b": Union[str, float], "c": Literal["x"], "d": typing.List[int]}  # noqa: UP006, UP007, UP045
    found = {one.name: (one.types, one.choices) for one in parameters_of(takes) or ()}
    assert found == {
        "a": (("integer", "null"), None),
        "b": (("string", "number"), None),
        "c": (None, ("x",)),
        "d": (("array",), None),
    }


def test_a_form_comes_back_from_json_as_it_was() -> None:
    def takes(a: int, /, b: str = "x", *more: float, c: Literal[1, 2] = 1, **rest: Any) -> None: ...

    made = TaskForm("n", "doc", parameters_of(takes), "q", "k", "1/s", True)
    assert TaskForm.parse(made.as_json()) == made


def test_what_python_cannot_tell_takes_everything() -> None:
    TaskForm("a.task", parameters=None).check([1, 2], {"x": 3})


def test_a_default_of_none_makes_null_fit() -> None:
    def takes(a: int = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013 - the old way

    form(takes).check([None], {})
    with pytest.raises(ArgumentInvalid, match="a: expected a whole number or null, got 'x'"):
        form(takes).check(["x"], {})


def test_a_default_of_none_leaves_what_allows_null_already_as_it_is() -> None:
    def takes(a: dict[str, int] | None = None, b: Literal["x", None] = None) -> None: ...

    a, b = parameters_of(takes) or ()
    assert (a.types, b.choices) == (("object", "null"), ("x", None))


def test_a_long_docstring_is_cut_within_a_character_at_its_bound() -> None:
    text = shortened_doc("  first\n\n    " + "ü" * 5000)
    assert text.startswith("first\n\nü")
    assert len(text.encode()) <= DOC_BYTES
    assert text.endswith("ü...")


@pytest.mark.parametrize(
    ("args", "kwargs", "field"),
    [
        ([], {}, "a"),
        ([1], {"a": 1}, "a"),
        ([1], {"z": 1}, "z"),
        (["1"], {}, "a"),
        ([True], {}, "a"),
        ([1.5], {}, "a"),
        ([1], {"b": 5}, "b"),
        ([1, "x", 3], {}, "args"),
        ([1], {"c": "green"}, "c"),
    ],
)
def test_a_call_that_does_not_fit_names_the_argument(args: list[Any], kwargs: dict[str, Any], field: str) -> None:
    def takes(a: int, b: str = "x", *, c: Literal["red"] = "red") -> None: ...

    with pytest.raises(ArgumentInvalid) as refused:
        form(takes).check(args, kwargs)
    assert refused.value.field == field


KINDS = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.KEYWORD_ONLY,
    inspect.Parameter.VAR_KEYWORD,
)


@st.composite
def signatures(draw: st.DrawFn) -> inspect.Signature:
    kinds = sorted(draw(st.lists(st.sampled_from(KINDS), max_size=5)))
    found, defaults = [], False
    for number, kind in enumerate(kinds):
        if kind in (KINDS[2], KINDS[4]) and any(one.kind == kind for one in found):
            continue
        has_default = kind not in (KINDS[2], KINDS[4]) and (
            draw(st.booleans()) or (defaults and kind in (KINDS[0], KINDS[1]))
        )
        defaults = defaults or has_default
        default = 0 if has_default else inspect.Parameter.empty
        found.append(inspect.Parameter("abcde"[number], kind, default=default))
    return inspect.Signature(found)


@given(signatures(), st.lists(st.just(1), max_size=4), st.dictionaries(st.sampled_from("abcdef"), st.just(1)))
def test_a_call_fits_just_when_python_could_make_it(
    signature: inspect.Signature, args: list[int], kwargs: Mapping[str, int]
) -> None:
    made: dict[str, Any] = {}
    exec(f"def takes{signature}: ...", made)
    takes = made["takes"]
    try:
        takes(*args, **kwargs)
        possible = True
    except TypeError:
        possible = False
    try:
        form(takes).check(args, kwargs)
        fits = True
    except ArgumentInvalid:
        fits = False
    assert fits == possible, f"{signature} {args} {kwargs}"


def test_arguments_that_come_from_a_task_before_are_counted_but_not_looked_at() -> None:
    def takes(a: int, b: str) -> None: ...

    form(takes).check(["x"], {}, given_first=1)
    form(takes).check([], {"b": "x"}, given_first=1)
    with pytest.raises(ArgumentInvalid):
        form(takes).check([1, "x"], {}, given_first=1)


def test_a_parameter_says_all_that_it_knows() -> None:
    def takes(a: object = object) -> None: ...

    (found,) = parameters_of(takes) or ()
    assert found == Parameter("a", "positional_or_keyword", False, None, "<class 'object'>", "object", None, None)
