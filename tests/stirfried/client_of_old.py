"""A client as it is written for Stirfried, with python-socketio: it knows nothing of livetask.

``python client_of_old.py URL [SERIALIZER]`` prints a line of JSON for each thing that it is told.
"""

import asyncio
import base64
import json
import sys

import socketio

url, serializer = sys.argv[1], (sys.argv[2:] or ["default"])[0]
sio = socketio.AsyncClient(serializer=serializer)
returned = set()


def shown(value):
    if isinstance(value, bytes):
        return "bytes:" + base64.b64encode(value).decode()
    return value


def say(what, data):
    print(json.dumps([what, {key: shown(held) for key, held in data.items()}]), flush=True)


@sio.on("on_progress")
def on_progress(data):
    say("progress", {"current": data["current"], "total": data["total"], "info": data["info"]})


@sio.on("on_retry")
def on_retry(data):
    say("retry", {"task_name": data["task_name"]})


@sio.on("on_failure")
def on_failure(data):
    say("failure", {"task_name": data["task_name"], "einfo": bool(data.get("einfo"))})


@sio.on("on_success")
def on_success(data):
    say("success", {"task_name": data["task_name"], "retval": data["retval"]})


@sio.on("on_return")
def on_return(data):
    say("return", {"task_name": data["task_name"], "status": data["status"]})
    returned.add(data["task_id"])


async def main():
    await sio.connect(url)
    messages = [
        {"task_name": "count", "args": [2]},
        {"task_name": "add", "kwargs": {"x": 1, "y": 2}},
        {"task_name": "fails", "args": ["no"]},
        {"task_name": "again"},
        {"task_name": "reverse", "args": [b"\x00\x01\xfe\xff"]},
    ]
    for message in messages:
        reply = await sio.call("send_task", message)
        assert reply["status"] == "success", reply
        while reply["data"] not in returned:  # noqa: ASYNC110 - a client as people write it
            await asyncio.sleep(0.01)
    info = await sio.call("task_info", reply["data"])
    say("info", {"state": info["state"], "result": info["result"]})
    reply = await sio.call("send_task", {"task_name": "add", "args": [1]})
    await sio.emit("revoke_task", reply["data"])
    await sio.disconnect()


asyncio.run(main())
