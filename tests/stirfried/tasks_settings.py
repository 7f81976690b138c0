"""One file that configures Celery, livetask and the Socket.IO server, as Stirfried's settings.py did."""

import os

broker_url = os.environ.get("LIVETASK_TEST_STIRFRIED_URL", "memory://")
result_backend = os.environ.get("LIVETASK_TEST_STIRFRIED_BACKEND", broker_url)
task_default_queue = "stirfried"
broker_connection_retry_on_startup = True

livetask_redis_url = broker_url if broker_url.startswith("redis") else ""
livetask_available_tasks = ["*"]
livetask_custom_rooms = True
livetask_header_task_map = {"whoami": {"X-User": "user"}}
livetask_inbound_bytes = 256 * 1024
livetask_error_info = os.environ.get("LIVETASK_TEST_STIRFRIED_ERRORS") == "1"

socketio_serializer = os.environ.get("LIVETASK_TEST_STIRFRIED_SERIALIZER", "default")
socketio_ping_interval = 10
