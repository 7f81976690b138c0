"""The Python client of livetask: start, stop, ask after and follow Celery tasks from other programs.

``Client`` is for asyncio, ``SyncClient`` for everybody else. Both speak to a livetask server by HTTP and Socket.IO and
need neither Celery nor Redis.

    from livetask.client import Output, SyncClient, TaskEnded

    with SyncClient("http://127.0.0.1:8400") as client:
        task_id = client.send("reports.build", ["2024-05"])
        for item in client.output(task_id, wait=True):
            if isinstance(item, Output):
                print(item.text, end="")
            elif isinstance(item, TaskEnded):
                print(item.state)

Following goes on by itself, exactly where it was, over lost connections and restarts of the server. To go on in
another process, keep the ``cursor`` of the last item and give it to ``output``. Importing this package never loads
the worker or the server.
"""

from livetask.client.blocking import SyncClient
from livetask.client.client import DEFAULT_URL, Client
from livetask.client.failures import AddressInvalid, OutputBroken, Refused, ServerUnreachable
from livetask.client.items import (
    CaughtUp,
    Gap,
    Item,
    Notice,
    Output,
    Reset,
    RunBegan,
    RunEnded,
    TaskChanged,
    TaskEnded,
)
from livetask.client.tasks import Run, Share, Stopped, Task, TaskInfo

__all__ = [
    "DEFAULT_URL",
    "AddressInvalid",
    "CaughtUp",
    "Client",
    "Gap",
    "Item",
    "Notice",
    "Output",
    "OutputBroken",
    "Refused",
    "Reset",
    "Run",
    "RunBegan",
    "RunEnded",
    "ServerUnreachable",
    "Share",
    "Stopped",
    "SyncClient",
    "Task",
    "TaskChanged",
    "TaskEnded",
    "TaskInfo",
]
