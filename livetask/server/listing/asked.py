"""How the list is asked for, over HTTP and Socket.IO alike, and what it answers as JSON.

| argument | | default |
|---|---|---|
| q | a filter, see ``wanted`` | all |
| state | states with commas between them | all |
| sort | one of ORDERS | changed; newest for ``watch`` |
| limit | 1 to 500 | 100; 200 for ``watch`` |
| after | the ``next`` of the answer before: only what comes after that | |
| also | with ``watch``: up to 100 task ids that are told whatever the filter says | |

Pure: no I/O, no clock.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from livetask.errors import ArgumentInvalid
from livetask.keys import task_id_checked
from livetask.server.listing.rows import ORDERS, Key, row_read
from livetask.server.listing.wanted import Filter, states_read
from livetask.server.tasks import Task
from livetask.server.wire import task_json

MOST_TASKS = 500
LISTED = 200
MOST_ALSO = 100
ARGUMENTS = ("q", "state", "sort", "limit", "after")

_SAMPLE = row_read("a", ("",) * 10)
_TOKEN_CHARACTERS = 1500


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of the list. ``states``: empty for all. ``order``: one of ORDERS. ``limit``: to begin with.

    ``also``: tasks that a watcher is told of whatever the filter says.
    """

    wanted: Filter
    states: frozenset[str] = frozenset()
    order: str = "newest"
    limit: int = LISTED
    also: frozenset[str] = frozenset()

    def wants_state(self, state: str) -> bool:
        """Whether tasks in this state are listed."""
        return not self.states or state in self.states


ALL = Wish(Filter())


@dataclass(frozen=True, slots=True)
class Listing:
    """A part of the list. ``tasks``: in order. ``counts``: by state, of all that the filter lets through.

    ``total``: of those in the states that are wanted. ``after``: the key after which there are more; None: these are
    all. ``now_ms``: the time by which the order was made.
    """

    tasks: tuple[Task, ...]
    counts: dict[str, int]
    total: int
    after: Key | None
    now_ms: int


def wish_of_query(query: Mapping[str, str]) -> tuple[Wish, Key | None, int]:
    """(what is wanted, the key to begin after, the time by which its order was made) of a request's query.

    Raises ArgumentInvalid, also for an argument that there is not: a filter that is misspelt must not list everything.
    """
    for name in query:
        if name not in ARGUMENTS:
            raise ArgumentInvalid(name, query[name], f"no such argument: there are {', '.join(ARGUMENTS)}")
    order, limit = _order(query.get("sort", "changed")), _limit(query.get("limit", "100"))
    after, now_ms = _after_read(query["after"], order) if "after" in query else (None, 0)
    return Wish(Filter.parse(query.get("q", "")), states_read(query.get("state", "")), order, limit), after, now_ms


def wish_of_message(fields: Mapping[str, Any]) -> Wish:
    """What a watcher wants. Unknown fields are left alone. Raises ArgumentInvalid, TaskIdInvalid."""
    order, limit = _order(fields.get("sort", "newest")), fields.get("limit", LISTED)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_TASKS:
        raise ArgumentInvalid("limit", limit, f"a whole number from 1 to {MOST_TASKS}")
    also = fields.get("also", [])
    if not isinstance(also, list) or len(also) > MOST_ALSO:
        raise ArgumentInvalid("also", also, f"a list of at most {MOST_ALSO} task ids")
    wanted, states = Filter.parse(fields.get("q", "")), states_read(fields.get("state", ""))
    return Wish(wanted, states, order, limit, frozenset(map(task_id_checked, also)))


def listing_json(listing: Listing, order: str) -> dict[str, Any]:
    """The answer. ``next``: what to give as ``after`` for those after these; null: there are no more."""
    after = None if listing.after is None else _token([order, listing.now_ms, *listing.after])
    return {
        "tasks": [task_json(task) for task in listing.tasks],
        "counts": listing.counts,
        "total": listing.total,
        "next": after,
    }


def _order(order: object) -> str:
    if not isinstance(order, str) or order not in ORDERS:
        raise ArgumentInvalid("sort", order, f"one of {', '.join(ORDERS)}")
    return order


def _limit(text: str) -> int:
    limit = int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0
    if not 1 <= limit <= MOST_TASKS:
        raise ArgumentInvalid("limit", text, f"a whole number from 1 to {MOST_TASKS}")
    return limit


def _token(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def _after_read(token: str, order: str) -> tuple[Key, int]:
    try:
        text = token[:_TOKEN_CHARACTERS]
        found_order, now_ms, *key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError, RecursionError):
        found_order, now_ms, key = None, None, []
    shape = [type(value) for value in ORDERS[order].key(_SAMPLE, 0)]
    if found_order != order or type(now_ms) is not int or [type(value) for value in key] != shape:
        raise ArgumentInvalid("after", token, f"what an answer with sort={order} gave as next")
    return tuple(key), now_ms
