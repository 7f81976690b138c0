"""A real worker publishes how its tasks are called, renews that, and takes it back when it stops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from livetask.hiding import Hiding
from livetask.keys import publisher_parsed
from livetask.settings import Settings
from livetask.signature import TaskForm
from livetask.worker.forms import packed, write_forms
from tests.system.rig import wait_for
from tests.worker.conftest import Starter, Stored, Worker


def published(stored: Stored) -> dict[str, Any]:
    """By worker: its forms by task name."""
    found: dict[str, Any] = {}
    members: Any = stored.client.zrange(stored.keys.publishers(), 0, -1)
    for member in members:
        digest, worker = publisher_parsed(member.decode())
        text: Any = stored.client.get(stored.keys.forms(digest))
        found[worker] = {one["name"]: one for one in json.loads(text)} if text else {}
    return found


def forms_of(worker: Worker) -> tuple[str, dict[str, Any]]:
    found = wait_for("the worker has published", lambda: published(worker.stored))
    return next(iter(found.items()))


def test_a_worker_publishes_the_signatures_of_its_tasks(prefork: Worker) -> None:
    name, forms = forms_of(prefork)
    assert name == f"{prefork.app.conf.task_default_queue}@test"
    assert not [task for task in forms if task.startswith("celery.")]
    assert forms["tests.formed"] == {
        "name": "tests.formed",
        "doc": "Takes all kinds of arguments.\n\nA second paragraph.",
        "queue": "beside",
        "routing_key": "beside",
        "rate_limit": "10/m",
        "bind": True,
        "parameters": [
            parameter("count", required=True, hint="int", types=["integer"]),
            parameter("name", default="you", hint="str | None", types=["string", "null"]),
            parameter("deep", default={"a": [1]}, hint="dict[str, list[int]]", types=["object"]),
            parameter("odd", default_text="<object>"),
            parameter("colour", "keyword_only", default="red", hint="Literal['red', 'blue']", choices=["red", "blue"]),
            parameter("more", "var_keyword", hint="float", types=["number"]),
        ],
    }
    say = forms["tests.say"]
    assert (say["bind"], say["doc"], say["rate_limit"]) == (False, "", None)
    assert say["queue"] == prefork.app.conf.task_default_queue


def parameter(name: str, kind: str = "positional_or_keyword", **known: Any) -> dict[str, Any]:
    nothing = {"required": False, "default": None, "default_text": None, "hint": None, "types": None, "choices": None}
    return {"name": name, "kind": kind, **nothing, **known}


def test_what_was_published_is_gone_when_the_worker_has_stopped(starter: Starter) -> None:
    worker = starter.start("solo", concurrency=1)
    forms_of(worker)
    worker.stop()
    assert published(worker.stored) == {}


def test_a_killed_worker_is_no_longer_among_those_that_have_the_task(starter: Starter) -> None:
    worker = starter.start("threads", concurrency=1)
    forms_of(worker)
    worker.process.kill()
    wait_for("its shipper says so", lambda: not published(worker.stored))


def test_it_is_published_again_after_redis_has_forgotten_it(starter: Starter) -> None:
    worker = starter.start("solo", concurrency=1)
    _, forms = forms_of(worker)
    with redis.Redis.from_url(starter.url) as client:
        for key in client.scan_iter(f"{starter.prefix}:*"):
            client.delete(key)
    _, again = wait_for("it comes back", lambda: next(iter(published(worker.stored).items()), None))
    assert again == forms


def test_what_is_published_has_a_bound() -> None:
    forms = [TaskForm(f"task-{number}", "x" * 1000) for number in range(400)]
    text = packed(forms, 100_000)
    assert len(text) <= 100_000
    assert [form["name"] for form in json.loads(text)] == [form.name for form in forms]
    assert 0 < len(json.loads(packed(forms, 10_000))) < 400


def test_defaults_that_are_secrets_are_not_published(tmp_path: Path) -> None:
    app = Celery("forms", broker="memory://", set_as_current=False)

    @app.task(name="login", shared=False)
    def login(user: str = "anna", password: str = "hunter2", more: dict[str, str] = {"api_key": "hunter2"}) -> None:  # noqa: B006
        ...

    write_forms(app, "w", tmp_path, Hiding(Settings().hide_keys))
    text = (tmp_path / "forms").read_text()
    assert "hunter2" not in text
    form = next(one for one in json.loads(json.loads(text)["tasks"]) if one["name"] == "login")
    assert [one["default_text"] for one in form["parameters"]] == [None, "***", "***"]
    assert form["parameters"][0]["default"] == "anna"
    assert not any(one["required"] for one in form["parameters"])
