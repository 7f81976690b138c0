"""Sends tasks with Celery alone, past livetask, as a user's own program does."""

from __future__ import annotations

from typing import Any

from celery import Celery


def sent(env: dict[str, str], name: str, *args: Any, **options: Any) -> str:
    """Send a task to the broker of ``env``, with these options of Celery's, and return its id."""
    with Celery(broker=env["SYSTEM_BROKER_URL"], backend=None, set_as_current=False) as app:
        app.conf.update(broker_transport_options=filesystem_options(env))
        return str(app.send_task(name, args, **options).id)


def result_of(env: dict[str, str], task_id: str, within_s: float = 90) -> Any:
    """Wait for the result of a task, from Celery's own result backend; raises what the task raised."""
    with Celery(broker=env["SYSTEM_BROKER_URL"], backend=env["SYSTEM_BACKEND_URL"], set_as_current=False) as app:
        return app.AsyncResult(task_id).get(timeout=within_s, interval=0.05)


def filesystem_options(env: dict[str, str]) -> dict[str, str]:
    """What kombu's filesystem transport needs to know; nothing for others."""
    place = env.get("SYSTEM_FILESYSTEM")
    if not place:
        return {}
    return {"data_folder_in": place, "data_folder_out": place, "control_folder": f"{place}-control"}
