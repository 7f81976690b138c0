"""Which ability each HTTP route and each Socket.IO event needs: what is not in these tables is for administrators only.

A test walks the server's routes and events and demands that each stands here, so that a new one is thought about.
Where a path has ``{task_id}``, the ability is asked of that task, before the route is reached. What names its tasks in
a message asks for itself, each task apart (``Sight``); here it only says what the caller must have at all.

Pure: no I/O, no clock. Must never know: what the routes do.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Need:
    """``ability``: '' where nobody is asked who they are. ``shared``: share links lead here too.

    ``waits``: a page that waits for a task that is not known yet; it reads the task through Sight itself.
    ``noted``: as what the audit notes that it was done.
    """

    ability: str
    shared: bool = False
    waits: bool = False
    noted: str = ""


ANYBODY = Need("")
VIEW = Need("view")
VIEW_SHARED = Need("view", shared=True)
UNDECLARED = Need("administer")

_RUN = "/api/tasks/{task_id}/runs/{run}"

ROUTES: dict[tuple[str, str], Need] = {
    # pages
    ("GET", "/"): VIEW,
    ("GET", "/tasks/{task_id}"): Need("view", waits=True),
    ("GET", "/tasks/{task_id}/log"): VIEW,
    # holds nothing of the task: what it shows it asks the API for
    ("GET", "/embed/tasks/{task_id}"): ANYBODY,
    ("GET", "/tasks/{task_id}/workflow"): VIEW,
    ("GET", "/static"): ANYBODY,
    # tasks and their output
    ("GET", "/api/tasks"): VIEW,
    ("GET", "/api/tasks/{task_id}"): VIEW_SHARED,
    ("DELETE", "/api/tasks/{task_id}"): Need("administer", noted="delete"),
    ("GET", "/api/archived"): VIEW,
    ("GET", "/archived"): VIEW,
    ("GET", "/api/tasks/{task_id}/workflow"): VIEW,
    ("GET", "/api/tasks/{task_id}/workflow/log"): VIEW,
    ("GET", f"{_RUN}/log"): VIEW_SHARED,
    ("GET", f"{_RUN}/search"): VIEW_SHARED,
    ("GET", f"{_RUN}/marks"): VIEW_SHARED,
    ("GET", f"{_RUN}/log.txt"): Need("download", shared=True, noted="download"),
    ("GET", f"{_RUN}/log.gz"): Need("download", shared=True, noted="download"),
    # links and the audit
    ("POST", "/api/tasks/{task_id}/shares"): Need("download"),
    ("GET", "/api/shares"): Need("download"),
    ("DELETE", "/api/shares/{share_id}"): Need("download"),
    ("GET", "/api/share"): ANYBODY,
    ("GET", "/share"): ANYBODY,
    ("GET", "/api/audit"): Need("administer"),
    ("GET", "/audit"): Need("administer"),
    # starting and stopping
    ("GET", "/api/startable"): Need("start"),
    ("POST", "/task"): Need("start"),
    ("GET", "/task/{task_id}"): VIEW,
    ("DELETE", "/task/{task_id}"): Need("cancel"),
    ("POST", "/task/{task_id}/rerun"): Need("rerun"),
    # who one is
    ("GET", "/login"): ANYBODY,
    ("POST", "/login"): ANYBODY,
    ("POST", "/logout"): ANYBODY,
    ("GET", "/login/oidc"): ANYBODY,
    ("GET", "/login/oidc/back"): ANYBODY,
    ("GET", "/api/me"): ANYBODY,  # of those whom the gate has let in
    # machines
    ("GET", "/api/openapi.json"): ANYBODY,
    ("GET", "/healthz"): ANYBODY,
    ("GET", "/readyz"): ANYBODY,
    ("GET", "/metrics"): Need("administer"),
    # connections are asked who they are by the gate
    ("GET", "/socket.io/"): ANYBODY,
    ("POST", "/socket.io/"): ANYBODY,
    ("OPTIONS", "/socket.io/"): ANYBODY,
}
"""By method and the path as it was registered. HEAD is GET."""

EVENTS: dict[str, Need] = {
    "subscribe": VIEW_SHARED,
    "unsubscribe": VIEW_SHARED,
    "ack": VIEW_SHARED,
    "watch": VIEW,
    "unwatch": VIEW,
    "join": VIEW,
    "leave": VIEW,
    "send_task": Need("start"),
    "revoke_task": Need("cancel"),
    "cancel_tasks": Need("cancel"),
    "rerun_task": Need("rerun"),
    "rerun_tasks": Need("rerun"),
    "task_info": VIEW,
}
"""By name."""


def need_of_route(method: str, path: str) -> Need:
    """What a route needs. ``path``: as it was registered."""
    return ROUTES.get(("GET" if method == "HEAD" else method, path), UNDECLARED)


def need_of_event(name: str) -> Need:
    """What an event needs."""
    return EVENTS.get(name, UNDECLARED)
