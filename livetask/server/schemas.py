"""The shapes of the HTTP API's bodies and errors, as JSON Schema: the parts of which ``openapi`` makes the document.

A task may carry more fields than are named here: clients are to leave alone what they do not know.

Pure: no I/O, no clock.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def maybe(kind: str, **more: Any) -> Json:
    """A value of this type, or null."""
    return {"type": [kind, "null"], **more}


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def listed(of: Json, **more: Any) -> Json:
    return {"type": "array", "items": of, **more}


def shape(**fields: Json) -> Json:
    """An object that has all of these fields."""
    return {"type": "object", "required": list(fields), "properties": fields}


STRING: Json = {"type": "string"}
WHOLE: Json = {"type": "integer"}
TIME: Json = maybe("integer", description="ms since the epoch")
CURSOR: Json = {
    "type": "string",
    "description": "opaque: give it back as it came",
    "examples": ["1.k3v9x0q2m4t8.120-8411"],
}
FLAG: Json = {"type": "boolean"}
TASK_ID: Json = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._:@=+~-]{0,199}$"}

_RUN = shape(
    run={"type": "integer", "minimum": 1},
    nonce=STRING,
    why=maybe("string", description="first, retry or redelivered"),
    host=maybe("string"),
    pid=maybe("integer"),
    worker=maybe("string"),
    pool=maybe("string", description="Celery's name for the kind of pool"),
    begun_at=TIME,
    ended_at=TIME,
    how=maybe("string", description="SUCCESS FAILURE RETRY IGNORED REJECTED REVOKED KILLED LOST; null while it runs"),
    detail=maybe("object", description="what is known of a bad end: exception, traceback, signal, exit_code, ..."),
    first={"type": "string", "description": "position of the first byte kept, <line>-<byte>"},
    first_why={"type": "string", "enum": ["", "trimmed", "lost", "dropped", "deleted", "archived"]},
    end={"type": "string", "description": "position of the byte that would come next"},
    lines=WHOLE,
    bytes=WHOLE,
    crc=maybe("string", description="8 hexadecimal digits: the CRC-32 of all bytes"),
)

_TASK = shape(
    id=STRING,
    name=maybe("string"),
    state={"type": "string", "description": "QUEUED RUNNING RETRY SUCCESS FAILURE REVOKED IGNORED REJECTED LOST"},
    queued_at=TIME,
    began_at=TIME,
    ended_at=TIME,
    changed_at=TIME,
    queue=maybe("string"),
    worker=maybe("string"),
    owner=maybe("string", description="the caller who started it by livetask"),
    root_id=maybe("string", description="a task's id, or group:ID for a group that no task has sent"),
    parent_id=maybe("string"),
    args=maybe("string", description="the repr, shortened"),
    kwargs=maybe("string"),
    result=maybe("string"),
    progress=maybe("object"),
    open=WHOLE,
    stopping_at=TIME,
    stopping_by=maybe("string", description="who wished that it stops, while it runs"),
    stopping_how=maybe("string", description="cancel or terminate"),
    stopping_note=maybe("string", description="why it was not terminated"),
    revoked_at=TIME,
    revoked_by=maybe("string"),
    rerun_of=maybe("string", description="the task that it repeats"),
    reruns=listed(STRING, description="the tasks that repeat it"),
    deleted_at=maybe("integer", description="when its output and arguments were deleted on request, ms"),
    deleted_by=maybe("string"),
    can_rerun={"type": "boolean", "description": "whether its arguments are kept"},
    runs=listed(ref("Run")),
)

_LOOKED: dict[str, Json] = {
    "run": WHOLE,
    "from": {"type": "string", "description": "<line>-<byte>: from here on was looked at"},
    "to": {"type": "string", "description": "up to here: the beginning of a line, or the end of a run that has ended"},
    "done": {"type": "boolean", "description": "the end, as it was known, is reached"},
    "end": STRING,
    "ended": {"type": "boolean", "description": "the run has ended"},
    "lines": {"type": "integer", "description": "how many lines were looked at"},
    "gaps": listed(shape(**{"from": STRING, "to": STRING, "reason": STRING})),
}

_FOUND = shape(
    **_LOOKED,
    total={"type": "integer", "description": "matches from 'from' up to 'to'"},
    hits=listed(
        listed(WHOLE, minItems=3, maxItems=3),
        description="[line, start, end] of the first ones; columns of the text without escape codes, in UTF-16 units",
    ),
    lines_hit=listed(WHOLE, description="the lines of the others, at most 5000"),
)

_MARKS = shape(
    **_LOOKED,
    errors=listed(WHOLE),
    warnings=listed(WHOLE),
    stderr=listed(listed(WHOLE, minItems=2, maxItems=2), description="[first, last] line, where stderr is told apart"),
    groups=listed(
        listed({}, minItems=5, maxItems=5),
        description="[line, 'start' or 'end', key, title, ms since the epoch or null]",
    ),
    more={"type": "boolean", "description": "there were more of one kind than are told"},
)

_LINES = shape(
    first_line=WHOLE,
    lines=listed(STRING),
    sgr={"type": "string", "description": "the colours in force where the first line begins"},
    first_kept_line=WHOLE,
    end=CURSOR,
    complete=FLAG,
    ended=FLAG,
    gaps=listed(shape(**{"from": STRING, "to": STRING, "reason": STRING})),
)
_LINES["properties"]["cut"] = {
    "type": "object",
    "description": "by line: the bytes of a line that was cut",
    "additionalProperties": WHOLE,
}
_LINES["properties"]["times"] = {
    "type": "array",
    "description": "[line, when it was printed, in ms since the epoch], wherever that changes",
    "items": {"type": "array", "items": WHOLE, "minItems": 2, "maxItems": 2},
}

_PIECE = shape(
    **{"task_id": STRING, "run": WHOLE, "from": STRING, "to": STRING},
    at=maybe("integer", description="ms since the epoch, when a worker read it from its spool"),
)
_PIECE["properties"]["text"] = STRING
_PIECE["properties"]["sgr"] = {"type": "string", "description": "the colours in force where the text begins"}
_PIECE["properties"]["reason"] = {"type": "string", "description": "of a gap, which stands in place of text"}

_PARAMETER = shape(
    name=STRING,
    kind={
        "type": "string",
        "enum": ["positional_only", "positional_or_keyword", "var_positional", "keyword_only", "var_keyword"],
    },
    required=FLAG,
    default={"description": "as JSON has it; null where default_text is given"},
    default_text=maybe("string", description="the default's repr, where JSON cannot hold it"),
    hint=maybe("string", description="the type hint as text"),
    types=maybe("array", items=STRING, description="JSON types that the hint allows; null for any"),
    choices=maybe("array", description="the only values, of a Literal; null for any"),
)

_STARTABLE = shape(
    name=STRING,
    doc=STRING,
    parameters=maybe("array", items=ref("Parameter"), description="null: nobody has said which arguments it takes"),
    queue=maybe("string"),
    routing_key=maybe("string"),
    rate_limit=maybe("string"),
    bind=FLAG,
    workers=listed(STRING, description="those that have the task"),
)

_CALL: Json = {
    "type": "object",
    "required": ["task_name"],
    "properties": {
        "task_name": {"type": "string", "minLength": 1, "maxLength": 255},
        "args": {"type": ["array", "null"]},
        "kwargs": {"type": ["object", "null"]},
        "queue": maybe("string", pattern="^[A-Za-z0-9_][A-Za-z0-9._:@/+-]{0,199}$"),
        "countdown": maybe("number", minimum=0, maximum=31_622_400, description="seconds"),
        "priority": maybe("integer", minimum=0, maximum=255),
        "room": maybe("string", maxLength=200, description="whose members hear of it, with custom_rooms"),
        "chain": maybe(
            "array",
            items={"type": "object", "required": ["task_name"]},
            maxItems=100,
            description="calls like this one, without chains; each is given the result before it, the last comes first",
        ),
    },
    "additionalProperties": False,
    "examples": [{"task_name": "app.train", "kwargs": {"epochs": 3}, "queue": "gpu"}],
}

_RERUN: Json = {
    "type": "object",
    "properties": {"args": _CALL["properties"]["args"], "kwargs": _CALL["properties"]["kwargs"]},
    "additionalProperties": False,
    "description": "what is given stands for what the task had",
}

_SUCCESS: Json = {"type": "string", "enum": ["success"]}
_ID: Json = {**STRING, "description": "the task's id"}

_OUTCOMES = ["revoked", "cancelling", "stopping", "terminated", "ended"]

_FIELD: Json = {"type": "string", "description": "with code argument_invalid: which field or argument is wrong"}

_ERROR = shape(code=STRING, error=STRING)
_ERROR["properties"]["field"] = _FIELD

_FAILED = shape(status={"type": "string", "enum": ["failed"]}, data=STRING, code=STRING)
_FAILED["properties"]["field"] = _FIELD

_STARTED = shape(status=_SUCCESS, data=_ID)
_STARTED["properties"]["chain"] = listed(STRING, description="the ids of the chained tasks, as they were given")

_SHARE = shape(
    id=STRING,
    task_id=STRING,
    by={"type": "string", "description": "who made it"},
    made_at={"type": "integer", "description": "ms since the epoch"},
    until={"type": "integer", "description": "ms since the epoch"},
)

_MADE_SHARE = shape(
    **_SHARE["properties"], path={"type": "string", "description": "where it leads, behind the server's address"}
)

_AUDIT_ENTRY = shape(
    id=STRING,
    at={"type": "integer", "description": "ms since the epoch"},
    kind=STRING,
    who={"type": "string", "description": "the caller's name"},
    by={"type": "string", "description": "how it was recognised"},
    role=STRING,
    credential={"type": "string", "description": "the id of its token, session or link"},
    **{"from": {"type": "string", "description": "its address"}},
    task_id=STRING,
    detail=STRING,
    count={"type": "integer", "description": "how many of the kind it stands for"},
)

SCHEMAS: Json = {
    "Share": _SHARE,
    "MadeShare": _MADE_SHARE,
    "ShareWish": {
        "type": "object",
        "properties": {"hours": {"type": "number", "exclusiveMinimum": 0, "description": "at most share_s"}},
        "additionalProperties": False,
    },
    "AuditEntry": _AUDIT_ENTRY,
    "Task": _TASK,
    "Run": _RUN,
    "Tasks": shape(
        tasks=listed(ref("Task")),
        counts={
            "type": "object",
            "additionalProperties": WHOLE,
            "description": "by state, of all that the filter lets through, whatever state was asked for",
        },
        total={"type": "integer", "description": "how many are wanted, on all pages"},
        next=maybe("string", description="asks for those after these; null: there are no more"),
    ),
    "Archived": shape(tasks=listed(ref("Task")), next_before=maybe("string"), looked_back_to=TIME),
    "Workflow": shape(root=STRING, tasks=listed(ref("Task")), total=WHOLE),
    "MergedLog": shape(
        root=STRING,
        pieces=listed(_PIECE),
        next={"type": "string", "description": "give it as after"},
        more={"type": "boolean", "description": "there is more now"},
        ended={"type": "boolean", "description": "nothing more will come of these tasks"},
        left_out={"type": "integer", "description": "how many tasks of the workflow are not in it"},
    ),
    "Lines": _LINES,
    "Found": _FOUND,
    "Marks": _MARKS,
    "Parameter": _PARAMETER,
    "Startable": shape(tasks=listed(_STARTABLE)),
    "Call": _CALL,
    "Started": _STARTED,
    "Rerun": _RERUN,
    "Rerunning": shape(status=_SUCCESS, data=_ID, rerun_of=STRING),
    "Stopped": shape(status=_SUCCESS, data=_ID, outcome={**STRING, "enum": _OUTCOMES}, words=STRING),
    "Info": shape(id=STRING, state={**STRING, "description": "Celery's word"}, result={"description": "the result"}),
    "Error": _ERROR,
    "Failed": _FAILED,
}
