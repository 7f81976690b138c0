"""Which tasks of the list are wanted: what people write into the filter, read in this one place.

| written | lets through |
|---|---|
| ``train`` | tasks with it in their name, id, worker or queue |
| ``name:train`` ``queue:gpu`` ``worker:w1`` | those with it there; with ``*`` the whole text has to fit |
| ``id:3f2a`` | those whose id begins with it |
| ``root:ID`` | that task and all that came of it, the whole id |
| ``state:failed`` ``state:running,retry`` | those in one of the states, or groups of states |
| ``-name:train`` | those that it would not let through |
| ``"two words"`` ``name:"two words"`` | the same with blanks or colons in it |

All of what is written must hold. Case never counts.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from livetask.errors import ArgumentInvalid
from livetask.server.listing.rows import STATES, Row

MOST_CHARACTERS = 200
KEYS = ("name", "state", "queue", "worker", "id", "root")
GROUPS = {
    "queued": ("QUEUED",),
    "retrying": ("RETRY",),
    "failed": ("FAILURE", "LOST", "REJECTED"),
    "done": ("SUCCESS", "REVOKED", "IGNORED"),
    "cancelled": ("REVOKED",),
}
"""Words for several states; a tab of the dashboard each, but for the last."""

_TERM = re.compile(r'(-?)(?:([^\s":]+):)?(?:"([^"]*)"?|(\S*))')
_PLACES = {"name": 0, "worker": 1, "queue": 2}


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a filter. ``key``: one of KEYS, '' for any. ``value``: folded. ``states``: with ``state``."""

    key: str
    value: str
    negated: bool = False
    states: frozenset[str] = frozenset()

    def holds(self, row: Row) -> bool:
        """Whether it lets such a task through."""
        return self._fits(row) is not self.negated

    def _fits(self, row: Row) -> bool:
        if self.key == "state":
            return row.state in self.states
        if self.key == "id":
            return row.task_id.casefold().startswith(self.value)
        if self.key == "root":
            return self.value in (row.task_id.casefold(), row.root_id.casefold())
        if self.key:
            return _within(self.value, row.folded[_PLACES[self.key]])
        if any(_within(self.value, text) for text in row.folded):
            return True
        return self.value in row.task_id or self.value in row.task_id.casefold()


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tasks are wanted: those for which all terms hold."""

    terms: tuple[Term, ...] = ()

    def holds(self, row: Row) -> bool:
        """Whether it lets such a task through."""
        return all(term.holds(row) for term in self.terms)

    @classmethod
    def parse(cls, text: object) -> Filter:
        """Read what was written. Raises ArgumentInvalid, with the field ``q``."""
        if not isinstance(text, str) or len(text) > MOST_CHARACTERS:
            raise ArgumentInvalid("q", text, f"a filter of at most {MOST_CHARACTERS} characters")
        terms = (_term(*match.groups(default="")) for match in _TERM.finditer(text) if match[0])
        return cls(tuple(term for term in terms if term is not None))


def states_read(text: object) -> frozenset[str]:
    """States with commas between them; empty for all. Raises ArgumentInvalid, with the field ``state``."""
    if not isinstance(text, str):
        raise ArgumentInvalid("state", text, f"some of {', '.join(STATES)}, with commas between them")
    states = frozenset(part for part in text.split(",") if part)
    for state in sorted(states.difference(STATES)):
        raise ArgumentInvalid("state", state, f"some of {', '.join(STATES)}, with commas between them")
    return states


def _term(minus: str, key: str, quoted: str, bare: str) -> Term | None:
    key, value = key.casefold(), (quoted or bare).casefold()
    if key and key not in KEYS:
        known = ", ".join(f"{known}:" for known in KEYS)
        raise ArgumentInvalid("q", f"{key}:", f'{known} or words; a text with a colon stands in quotes: "{key}:..."')
    if not value:
        return None  # somebody is still writing it
    states = _states(value.split(",")) if key == "state" else frozenset()
    return Term(key, value, bool(minus), states)


def _states(words: Sequence[str]) -> frozenset[str]:
    """The states that are meant by names of states or groups, or by how these begin."""
    found: set[str] = set()
    for word in filter(None, words):
        groups = [states for name, states in GROUPS.items() if name.startswith(word)]
        named = [state for state in STATES if state.casefold().startswith(word)]
        if not groups and not named:
            raise ArgumentInvalid("q", f"state:{word}", f"one of {', '.join((*GROUPS, *map(str.lower, STATES)))}")
        # a group that is named in full is meant alone: failed is more than failure
        found.update(GROUPS.get(word) or [*named, *(state for states in groups for state in states)])
    return frozenset(found)


def _within(value: str, text: str) -> bool:
    return fnmatchcase(text, value) if "*" in value else value in text
