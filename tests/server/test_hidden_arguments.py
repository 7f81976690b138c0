"""What the server notes of a task that it sends holds no secrets, and such a task is not run again as it was."""

from __future__ import annotations

from pathlib import Path

import redis

from tests.server import small_app
from tests.server.serving import a_redis, served


def _login(data: object) -> None: ...


async def test_secrets_in_arguments_are_not_kept_by_the_server(tmp_path: Path) -> None:
    key = "".join(("glpat-", "xYz12345-abcdEFGH", "_ijk"))
    with a_redis(tmp_path / "data") as store:
        app = small_app.make(store.url)
        app.task(name="login", shared=False)(_login)
        async with served(store.url, app, available_tasks=("login",)) as client:
            ids = []
            for text in ({"user": "anna", "password": "hunter2"}, key, "plain"):
                async with client.post("/task", json={"task_name": "login", "args": [text]}) as answer:
                    assert answer.status == 201
                    ids.append((await answer.json())["data"])
            shown = []
            for task_id in ids:
                async with client.get(f"/api/tasks/{task_id}") as answer:
                    shown.append(await answer.json())
            assert "hunter2" not in str(shown)
            assert key not in str(shown)
            assert "'user': 'anna'" in shown[0]["args"]
            async with client.post(f"/task/{ids[0]}/rerun") as answer:
                assert answer.status == 409
                assert "they hold a secret" in (await answer.json())["data"]
            async with client.post(f"/task/{ids[2]}/rerun") as answer:
                assert answer.status == 201
        with redis.Redis.from_url(store.url) as direct:
            kept = [direct.hgetall(name) for name in direct.scan_iter("livetask*") if direct.type(name) == b"hash"]
        assert b"hunter2" not in repr(kept).encode()
        assert key not in repr(kept)
