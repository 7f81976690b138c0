"""Values whose names say that they are secret are hidden, in values and in their reprs; nothing else is."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetask.hiding import SHOW_ALL, STARS, Hiding
from livetask.masking import Mask
from livetask.settings import Settings

HIDING = Hiding(Settings().hide_keys, Mask())


@pytest.mark.parametrize(
    "name",
    [
        *("password", "DB_PASSWORD", "db-password", "apiKey", "API_KEY", "api key", "X-Auth-Token", "Authorization"),
        *("client_secret", "accessToken", "aws_secret_access_key", "sessionCookie"),
    ],
)
def test_names_of_secrets_are_known_however_they_are_written(name: str) -> None:
    assert HIDING.hides(name)
    assert HIDING.value({name: "hunter2"}) == {name: STARS}
    for shown in (
        repr({name: "hunter2"}),
        json.dumps({name: "hunter2"}),
        json.dumps({"a": json.dumps({name: "hunter2"})}),
    ):
        assert "hunter2" not in HIDING.text(shown), shown


@pytest.mark.parametrize(
    "name", ["max_tokens", "tokens", "password_hint_shown", "key", "monkey", "passwords_checked", "", 7]
)
def test_other_names_are_not(name: object) -> None:
    assert not HIDING.hides(name)
    value = {name: "hunter2"}
    assert HIDING.value(value) is value
    assert HIDING.text(repr(value)) == repr(value)


@dataclass
class Login:
    user: str
    password: str


@pytest.mark.parametrize(
    "shown",
    [
        repr(Login("anna", "hunter2")),
        repr({"a": [{"b": ({"password": ["hunter2", ("hunter2",)]},)}]}),
        repr({"password": 'it\'s "hunter2" \\'}),
        repr({"password": b"hunter2"}),
        "{'password': 'hunter2 and the rest is cut aw...",
        "{'password': ['hunter2', {'a': 'hunter2...",
        "https://x.example/?token=hunter2&a=1",
        "cannot log in with password=hunter2, try again",
        "(1, {'headers': {'Authorization': 'Basic hunter2'}})",
    ],
)
def test_what_a_repr_holds_of_a_secret_is_hidden(shown: str) -> None:
    found = HIDING.text(shown)
    assert "hunter2" not in found
    assert STARS in found


def test_what_stands_around_it_stays() -> None:
    assert HIDING.text("{'a': 1, 'token': 'x, y', 'b': [2]}") == "{'a': 1, 'token': ***, 'b': [2]}"
    assert (
        HIDING.text("Login(user='anna', password='x)', more=(1, 2))") == "Login(user='anna', password=***, more=(1, 2))"
    )
    assert HIDING.value({"a": [1, ({"token": "x", "b": 2},)]}) == {"a": [1, ({"token": STARS, "b": 2},)]}
    assert HIDING.value({"token": None, "password": ""}) == {"token": None, "password": ""}


def test_arguments_that_hold_a_secret_are_not_kept_for_another_run() -> None:
    assert HIDING.kept([1], {"a": 2}) == {"call": '{"args":[1],"kwargs":{"a":2}}'}
    assert HIDING.kept([{"deep": [{"token": "x"}]}], {}) == {"call_not": "secret"}
    assert HIDING.kept(["".join(("ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"))], {}) == {"call_not": "secret"}
    assert SHOW_ALL.kept([{"token": "x"}], {})["call"]


_VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b c", "token", "api_key"]) | st.text(max_size=5), inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@given(_VALUES)
def test_a_repr_without_names_of_secrets_is_left_as_it_is_and_one_with_them_loses_only_theirs(value: Any) -> None:
    marker = "s3cr3t"
    planted = _planted(value, marker)
    shown = Hiding(("token", "api_key")).text(repr(planted))
    assert marker not in shown
    hidden = Hiding(("token", "api_key")).value(planted)
    assert marker not in repr(hidden)
    if hidden is planted:
        assert ast.literal_eval(shown) == planted


def _planted(value: Any, marker: str) -> Any:
    if isinstance(value, dict):
        return {key: [marker, value[key]] if HIDING.hides(key) else _planted(value[key], marker) for key in value}
    if isinstance(value, (list, tuple)):
        return type(value)(_planted(one, marker) for one in value)
    return value


def test_a_deep_or_cyclic_value_ends() -> None:
    deep: list[Any] = []
    deep += [deep, deep]
    Hiding(("token",)).value(deep)
    Hiding(("token",)).value({"a": deep})
