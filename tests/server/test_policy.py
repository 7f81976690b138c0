"""Rights compared with tasks: any right that fits is enough, and no two of them add up."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livetask.access_errors import Forbidden
from livetask.errors import TaskNotAllowed, TaskUnknown
from livetask.server.access.caller import ABILITIES, NOBODY, OPEN, ROLES, Caller, Right
from livetask.server.access.policy import TaskFacts, may, may_everywhere, may_somewhere, require, require_start
from livetask.server.access.rights import granted, rights_read
from livetask.setting_errors import SettingInvalid

ANY = TaskFacts("t1", "report.daily", "gpu", "anna")


def caller(*rights: Right, name: str = "anna", role: str = "", by: str = "token") -> Caller:
    return Caller(name, by, role, tuple(rights))


def right(*abilities: str, **limits: Any) -> Right:
    return Right(frozenset(abilities), **limits)


words = st.text("ab.", max_size=3)
globs = st.lists(st.sampled_from(["*", "a*", "*b", "a.b", "?", "[ab]"]), min_size=1, max_size=2).map(tuple)
rights = st.builds(
    Right,
    st.frozensets(st.sampled_from(sorted(ABILITIES))),
    globs,
    globs,
    st.booleans(),
    st.one_of(st.none(), st.lists(words, max_size=2).map(tuple)),
)
callers = st.builds(Caller, words, st.just("token"), st.just(""), st.lists(rights, max_size=4).map(tuple))
facts = st.builds(TaskFacts, words, words, words, words)
abilities = st.sampled_from(sorted(ABILITIES))


# ---- properties


@given(callers, abilities, facts)
def test_whoever_may_do_anything_with_a_stored_task_may_view_it(who: Caller, ability: str, task: TaskFacts) -> None:
    if ability != "start" and may(who, ability, task):
        assert may(who, "view", task)


@given(callers, abilities, facts, rights)
def test_one_more_right_never_takes_anything_away(who: Caller, ability: str, task: TaskFacts, more: Right) -> None:
    richer = Caller(who.name, who.by, who.role, (*who.rights, more))
    assert may(richer, ability, task) >= may(who, ability, task)


@given(callers, abilities, facts)
def test_what_is_allowed_is_allowed_by_one_right_as_a_whole(who: Caller, ability: str, task: TaskFacts) -> None:
    def alone(wanted: str) -> bool:
        return any(
            wanted in one.abilities
            and (not one.owner or (who.name != "" and who.name == task.owner))
            and (one.task_ids is None or task.id in one.task_ids)
            and any(glob == "*" or (task.name and fnmatchcase(task.name, glob)) for glob in one.tasks)
            and any(glob == "*" or (task.queue and fnmatchcase(task.queue, glob)) for glob in one.queues)
            for one in who.rights
        )

    assert may(who, ability, task) == (alone(ability) and (ability == "start" or alone("view")))


@given(callers, abilities, facts)
def test_who_may_everywhere_may_with_every_task_and_who_may_nowhere_with_none(
    who: Caller, ability: str, task: TaskFacts
) -> None:
    if may_everywhere(who, ability):
        assert may(who, ability, task)
    if not may_somewhere(who, ability):
        assert not may(who, ability, task)


@given(callers, abilities, facts, st.sampled_from(["name", "queue", "owner"]))
def test_what_is_not_known_of_a_task_never_widens_a_right(
    who: Caller, ability: str, task: TaskFacts, field: str
) -> None:
    if may(who, ability, replace(task, **{field: ""})):
        assert may(who, ability, task)


@given(abilities, facts)
def test_nobody_may_nothing_and_an_open_server_lets_everything(ability: str, task: TaskFacts) -> None:
    assert not may(NOBODY, ability, task)
    assert may(OPEN, ability, task)
    assert may_everywhere(OPEN, ability)


# ---- examples


def test_the_roles_are_what_their_names_say() -> None:
    able = {role: {one for one in ABILITIES if may(caller(*ROLES[role]), one, ANY)} for role in ROLES}
    assert able["viewer"] == {"view", "download"}
    assert able["operator"] == able["viewer"] | {"start", "cancel", "rerun"}
    assert able["admin"] == ABILITIES


def test_an_ability_of_one_right_and_the_tasks_of_another_make_none() -> None:
    who = caller(right("view"), right("cancel", tasks=("mail.*",)))
    assert may(who, "view", ANY)
    assert not may(who, "cancel", ANY)
    assert may(who, "cancel", TaskFacts("t2", "mail.send"))


@pytest.mark.parametrize(
    ("limits", "fits"),
    [
        ({"tasks": ("report.*",)}, True),
        ({"tasks": ("Report.*",)}, False),
        ({"queues": ("gpu", "cpu")}, True),
        ({"queues": ("cpu",)}, False),
        ({"owner": True}, True),
        ({"task_ids": ("t1",)}, True),
        ({"task_ids": ("t2",)}, False),
        ({"task_ids": ()}, False),
        ({"tasks": ()}, False),
    ],
)
def test_each_limit_of_a_right_must_fit(limits: dict[str, Any], fits: bool) -> None:
    assert may(caller(right("view", **limits)), "view", ANY) is fits


def test_a_caller_without_a_name_owns_nothing() -> None:
    who = caller(right("view", owner=True), name="")
    assert not may(who, "view", TaskFacts("t", "n", "q", ""))


def test_a_task_that_may_not_be_viewed_is_answered_as_unknown_whatever_is_asked() -> None:
    for ability in ("view", "cancel", "rerun", "download"):
        with pytest.raises(TaskUnknown):
            require(caller(right("cancel", "rerun")), ability, ANY)


def test_a_task_that_may_be_viewed_says_what_would_be_needed() -> None:
    with pytest.raises(Forbidden, match="the right to cancel"):
        require(caller(right("view")), "cancel", ANY)


def test_a_start_that_is_not_allowed_reads_like_a_name_that_is_not() -> None:
    who = caller(right("start", tasks=("report.*",), queues=("gpu",)))
    require_start(who, "report.daily", "gpu")
    for name, queue in (("mail.send", "gpu"), ("report.daily", ""), ("report.daily", "cpu")):
        with pytest.raises(TaskNotAllowed):
            require_start(who, name, queue)


def test_one_who_may_start_only_what_it_owns_may_start_because_it_will_own_it() -> None:
    require_start(caller(right("start", owner=True)), "any.name")


# ---- the setting


WRITTEN = {
    "role:analyst": [{"abilities": ["view"], "tasks": ["report.*"]}],
    "user:anna": [{"abilities": ["view", "cancel"], "owner": True}],
    "role:viewer": [],
}


def test_the_setting_gives_rights_to_roles_and_before_them_to_users() -> None:
    read = rights_read(WRITTEN)
    ben = granted(caller(name="ben", role="analyst"), read)
    assert ben.rights == (right("view", tasks=("report.*",)),)
    anna = granted(caller(*ROLES["admin"], role="admin"), read)
    assert anna.rights == (right("view", "cancel", owner=True),)
    assert granted(caller(*ROLES["viewer"], name="eve", role="viewer"), read).rights == ()
    assert granted(caller(*ROLES["operator"], name="eve", role="operator"), read).rights == ROLES["operator"]


def test_a_role_that_nobody_described_may_nothing() -> None:
    assert granted(caller(*ROLES["admin"], name="eve", role="superuser"), {}).rights == ()


def test_a_user_is_never_read_as_a_role() -> None:
    read = rights_read({"role:boss": [{"abilities": ["administer"]}]})
    assert granted(caller(name="role:boss", role=""), read).rights == ()


@pytest.mark.parametrize("by", ["open", "share"])
def test_an_open_server_and_a_share_link_keep_their_rights(by: str) -> None:
    who = caller(right("view"), by=by)
    assert granted(who, rights_read(WRITTEN)) is who


def test_what_a_callable_gave_counts() -> None:
    who = caller(right("view"), by="callable")
    assert granted(who, rights_read(WRITTEN)) is who
    assert granted(caller(by="callable"), rights_read(WRITTEN)).rights == (right("view", "cancel", owner=True),)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"anna": []}, "role:NAME or user:NAME"),
        ({"role:": []}, "role:NAME or user:NAME"),
        ({"role:a": {"abilities": ["view"]}}, "a list of rights"),
        ({"role:a": ["view"]}, "objects in the list"),
        ({"role:a": [{}]}, "abilities"),
        ({"role:a": [{"abilities": ["see"]}]}, "abilities"),
        ({"role:a": [{"abilities": "view"}]}, "a list of texts"),
        ({"role:a": [{"abilities": ["view"], "task": ["x"]}]}, "some of abilities"),
        ({"role:a": [{"abilities": ["view"], "owner": "yes"}]}, "true or false"),
        ({"role:a": [{"abilities": ["view"], "tasks": [1]}]}, "a list of texts"),
    ],
)
def test_a_right_that_cannot_be_read_is_refused_by_name(written: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingInvalid, match=said):
        rights_read(written)
