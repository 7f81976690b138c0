"""The edge of HTTP: errors become answers, and bodies are read within a bound.

A route raises errors of the LivetaskError tree and nothing else on purpose. What is not on purpose is answered with a
bare 500; the log then holds where it happened and its kind, not its message, which could quote a task's output or
arguments.

Must never know: Redis, Celery, what the routes are for.
"""

from __future__ import annotations

import errno
import json
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from livetask.access_errors import TooFast
from livetask.errors import ArgumentInvalid, BadRequest, LivetaskError, TooLarge
from livetask.server import pages

BEGUN = web.RequestKey("BEGUN", web.StreamResponse)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger(__name__)

_JSON_PATHS = ("/api", "/healthz", "/readyz", "/metrics", "/socket.io")


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The middleware that makes an answer of every error, in the form that the path's clients expect."""
    try:
        return await _unless_begun(request, handler)
    except LivetaskError as error:
        field = error.field if isinstance(error, ArgumentInvalid) else None
        return await refusal(request, error.status, error.code, str(error), _more_headers(error), field)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        code, text = _HTTP_ERRORS.get(error.status, ("bad_request", error.reason))
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return await refusal(request, error.status, code, text, headers)
    except ConnectionError:
        if request.transport is not None and not request.transport.is_closing():
            raise
        return request.get(BEGUN) or web.Response()  # the client is gone; aiohttp would log a traceback of it
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            return await refusal(request, 404, *_HTTP_ERRORS[404])  # of a file under /static/
        log_bug(f"{request.method} {request.match_info.route.resource}", error)
        text = "something went wrong inside livetask; its log says where"
        if _is_page(request):
            return web.Response(text=text, status=500)  # a template may be what went wrong
        return await refusal(request, 500, "internal", text)


async def _unless_begun(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The handler's answer or error; but after an answer has begun, no error can be answered: it breaks off.

    The client then sees that it is not whole.
    """
    try:
        return await handler(request)
    except Exception as error:
        if BEGUN not in request or isinstance(error, ConnectionError):
            raise
        if not isinstance(error, LivetaskError):
            log_bug(f"{request.method} {request.match_info.route.resource}, within its answer", error)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError from error


async def mark_begun(request: web.Request, response: web.StreamResponse) -> None:
    """What to append to ``on_response_prepare``: from here on the request is being answered."""
    request[BEGUN] = response


def log_bug(what: str, error: BaseException) -> None:
    """Log where an unexpected error happened, and its kind, without its message."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    _log.error("%s: unexpected %s\n%s", what, type(error).__name__, frames)


def refusal_json(
    code: str, text: str, status: int, headers: Mapping[str, str] | None = None, field: str | None = None
) -> web.Response:
    """An error as the API gives it. ``field``: which one of what was sent is wrong."""
    body = {"code": code, "error": text} | ({} if field is None else {"field": field})
    return web.json_response(body, status=status, headers=headers)


async def refusal(
    request: web.Request,
    status: int,
    code: str,
    text: str,
    headers: Mapping[str, str] | None = None,
    field: str | None = None,
) -> web.Response:
    """An error in the form that the clients of this path expect: JSON of the API or of Stirfried, or a page."""
    if request.path == "/task" or request.path.startswith("/task/"):
        body = {"status": "failed", "data": text, "code": code} | ({} if field is None else {"field": field})
        return web.json_response(body, status=status, headers=headers)
    if not _is_page(request):
        return refusal_json(code, text, status, headers, field)
    title = {404: "Not found", 503: "Not reachable"}.get(status, "Not possible")
    page = await pages.error_page(request, status, title, text)
    page.headers.update(headers or {})
    return page


def _is_page(request: web.Request) -> bool:
    path = request.path
    return not (path.startswith(_JSON_PATHS) or path == "/task" or path.startswith("/task/"))


async def json_body(request: web.Request, limit_bytes: int) -> Any:
    """The request's body, read as JSON. Raises BadRequest, TooLarge."""
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge(limit_bytes) from None
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def whole_number(request: web.Request, name: str, least: int, most: int, default: int | None = None) -> int:
    """A whole number of the request's query. ``default``: None if it must be given. Raises ArgumentInvalid."""
    text = request.query.get(name)
    if text is None and default is not None:
        return default
    if text is None or not (text.isascii() and text.isdecimal() and len(text) < 17):
        raise ArgumentInvalid(name, text, f"a whole number from {least} to {most}")
    number = int(text)
    if not least <= number <= most:
        raise ArgumentInvalid(name, number, f"a whole number from {least} to {most}")
    return number


def _more_headers(error: LivetaskError) -> dict[str, str]:
    """Headers that belong to an error: when to ask again, where to begin."""
    headers = {"Cache-Control": "no-store"}
    if error.status == 503:
        headers["Retry-After"] = "2"
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="livetask"'
    if isinstance(error, TooFast):
        headers["Retry-After"] = str(max(1, round(error.retry_after_s + 0.5)))
    first = getattr(error, "first", None)
    if isinstance(first, str):
        headers["Stream-First-Offset"] = first
    return headers


_HTTP_ERRORS = {
    404: ("not_found", "there is nothing at this address"),
    408: ("too_slow", "the body took too long to arrive"),
    405: ("method_not_allowed", "this address does not answer this method"),
    413: ("too_large", "the body is larger than what is accepted"),
}
