"""Whether the server lives, whether it can work, and its figures."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from livetask.position import Position
from tests.server.serving import Client, Writer, redis_of_the_module, served, until
from tests.system.rig import Redis, free_port

store = redis_of_the_module


async def figures(client: Client) -> dict[tuple[str, str], float]:
    """By name and the value of the label."""
    async with client.get("/metrics") as answer:
        assert answer.content_type == "text/plain"
        families = list(text_string_to_metric_families(await answer.text()))
    assert all(family.documentation for family in families)
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in families
        for sample in family.samples
    }


async def test_it_is_alive_and_ready_while_redis_answers(store: Redis) -> None:
    async with served(store.url) as client:
        for url in ("/healthz", "/readyz"):
            async with client.get(url) as answer:
                assert (answer.status, (await answer.json())["status"]) == (200, "ok")


async def test_it_is_alive_and_not_ready_while_redis_is_away() -> None:
    async with served(f"redis://:hunter2@127.0.0.1:{free_port()}/0") as client:
        async with client.get("/healthz") as answer:
            assert answer.status == 200
        async with client.get("/readyz") as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "redis_unavailable")
            assert "hunter2" not in await answer.text()

        async with client.get("/tasks/task-1") as page:
            assert page.status == 503
            assert '<meta http-equiv="refresh" content="5">' in await page.text()

        async def down() -> bool:
            return (await figures(client))["livetask_store_up", ""] == 0

        await until("the figures say so", down)


async def test_the_figures_count_what_was_delivered_and_what_was_not(store: Redis) -> None:
    async with served(store.url) as client:
        Writer(store.url, "counted").begin().write(b"12345\n").drop(Position(5, 106)).finish()
        async with client.get("/api/tasks/counted/runs/1/log?live=sse") as answer:
            await answer.read()
        found = await figures(client)
        assert found["livetask_http_delivered_bytes_total", ""] == 6
        assert found["livetask_http_gap_bytes_total", "dropped"] == 100
        assert found["livetask_viewers", "http"] == 0
        assert found["livetask_store_up", ""] == 1
        assert {name.split("_")[0] for name, _ in found} == {"livetask"}
