"""What a task takes: its parameters as plain values, made from its signature, and whether a call fits them.

The worker makes a form of each task that it has registered, and publishes it; the server makes a form to be filled in
of it, and refuses calls that cannot succeed. Nothing is guessed: a parameter whose type hint says nothing that JSON
knows takes any value.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from livetask.errors import NOTHING, ArgumentInvalid

DOC_BYTES = 2048
"""How much of a docstring is kept."""

_HINT_CHARACTERS = 200
_DEFAULT_BYTES = 1024

POSITIONAL_ONLY = "positional_only"
POSITIONAL_OR_KEYWORD = "positional_or_keyword"
VAR_POSITIONAL = "var_positional"
KEYWORD_ONLY = "keyword_only"
VAR_KEYWORD = "var_keyword"

_MANY = (VAR_POSITIONAL, VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a task.

    ``kind``: Python's word in small letters. ``required``: it has no default, and is not * or **. ``default``: as
    JSON has it, and ``default_text``: its repr where JSON cannot hold it, else None. ``hint``: the type hint as text,
    None without one. ``types``: JSON's names of the types that the hint allows, None for any. ``choices``: the only
    values that a Literal allows, None for any.
    """

    name: str
    kind: str
    required: bool
    default: Any = None
    default_text: str | None = None
    hint: str | None = None
    types: tuple[str, ...] | None = None
    choices: tuple[Any, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "required": self.required,
            "default": self.default,
            "default_text": self.default_text,
            "hint": self.hint,
            "types": None if self.types is None else list(self.types),
            "choices": None if self.choices is None else list(self.choices),
        }

    @classmethod
    def parse(cls, found: Mapping[str, Any]) -> Parameter:
        """Read what ``as_json`` wrote. Raises KeyError or TypeError."""
        types, choices = found.get("types"), found.get("choices")
        return cls(
            name=str(found["name"]),
            kind=str(found["kind"]),
            required=bool(found["required"]),
            default=found.get("default"),
            default_text=found.get("default_text"),
            hint=found.get("hint"),
            types=None if types is None else tuple(map(str, types)),
            choices=None if choices is None else tuple(choices),
        )

    def check(self, value: object, name: str | None = None) -> None:
        """Raise ArgumentInvalid if the hint does not allow this value. ``name``: that of one among ``**``."""
        if self.choices is not None:
            if not any(value == choice and type(value) is type(choice) for choice in self.choices):
                raise ArgumentInvalid(name or self.name, value, f"one of {', '.join(map(repr, self.choices))}")
        elif self.types is not None and not any(_IS[kind](value) for kind in self.types):
            raise ArgumentInvalid(name or self.name, value, " or ".join(_SAID[kind] for kind in self.types))


@dataclass(frozen=True, slots=True)
class TaskForm:
    """What is known of how a task is called.

    ``doc``: its docstring, at most 2 KiB. ``parameters``: None if Python cannot tell. ``queue``, ``routing_key``: where
    it goes if nobody says otherwise, None if unknown. ``rate_limit``: Celery's text, or None. ``bind``: it is given
    itself first.
    """

    name: str
    doc: str = ""
    parameters: tuple[Parameter, ...] | None = None
    queue: str | None = None
    routing_key: str | None = None
    rate_limit: str | None = None
    bind: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "doc": self.doc,
            "parameters": None if self.parameters is None else [one.as_json() for one in self.parameters],
            "queue": self.queue,
            "routing_key": self.routing_key,
            "rate_limit": self.rate_limit,
            "bind": self.bind,
        }

    @classmethod
    def parse(cls, found: Mapping[str, Any]) -> TaskForm:
        """Read what ``as_json`` wrote. Raises KeyError or TypeError."""
        parameters = found.get("parameters")
        return cls(
            name=str(found["name"]),
            doc=str(found.get("doc") or ""),
            parameters=None if parameters is None else tuple(map(Parameter.parse, parameters)),
            queue=found.get("queue"),
            routing_key=found.get("routing_key"),
            rate_limit=found.get("rate_limit"),
            bind=bool(found.get("bind")),
        )

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any], given_first: int = 0) -> None:
        """Raise ArgumentInvalid, with the parameter's name, if a call with these cannot succeed.

        ``given_first``: how many arguments come before ``args`` whose values nobody knows yet, as in a chain.
        """
        if self.parameters is None:
            return
        places = [one for one in self.parameters if one.kind in (POSITIONAL_ONLY, POSITIONAL_OR_KEYWORD)]
        rest = self._of_kind(VAR_POSITIONAL)
        if rest is None and len(args) + given_first > len(places):
            raise ArgumentInvalid("args", list(args), f"at most {max(0, len(places) - given_first)} arguments")
        taken = {one.name for one in places[: len(args) + given_first]}
        for value, one in zip(args, places[given_first:], strict=False):
            one.check(value)
        for value in args[max(0, len(places) - given_first) :]:
            if rest is not None:
                rest.check(value)
        self._check_named(kwargs, {one.name for one in places if one.kind == POSITIONAL_ONLY}, taken)
        for one in self.parameters:
            named = one.name in kwargs and one.kind != POSITIONAL_ONLY
            if one.required and one.name not in taken and not named:
                raise ArgumentInvalid(one.name, NOTHING, f"a value ({one.hint})" if one.hint else "a value")

    def _check_named(self, kwargs: Mapping[str, Any], by_place_only: set[str], taken: set[str]) -> None:
        named = {one.name: one for one in self.parameters or () if one.kind in (POSITIONAL_OR_KEYWORD, KEYWORD_ONLY)}
        more = self._of_kind(VAR_KEYWORD)
        for name, value in kwargs.items():
            if name in named and name in taken:
                raise ArgumentInvalid(name, value, "one value, and args has one already")
            one = named.get(name, more)
            if one is None:
                why = "it by its place, in args" if name in by_place_only else "no argument of this name"
                raise ArgumentInvalid(name, value, why)
            one.check(value, name)

    def _of_kind(self, kind: str) -> Parameter | None:
        return next((one for one in self.parameters or () if one.kind == kind), None)


def form_of(app: Any, task: Any) -> TaskForm:
    """The form of a task that is registered with a Celery app; neither is touched."""
    run = inspect.unwrap(task.run) if callable(task.run) else None
    queue, routing_key = None, None
    with suppress(Exception):  # routers are the user's own code, and may want a real call
        queue, routing_key = _route(app, task)
    rate = getattr(task, "rate_limit", None)
    return TaskForm(
        name=str(task.name),
        doc=shortened_doc(_doc(task, run)),
        parameters=_without_duty(parameters_of(task.run), getattr(task, "given_by_worker", ())),
        queue=queue,
        routing_key=routing_key,
        rate_limit=None if rate is None else str(rate),
        bind=inspect.ismethod(run),
    )


def options_of(task: Any) -> dict[str, Any]:
    """What a task says itself of how it is sent; ``send_task`` does not look at it."""
    names = ("queue", "routing_key", "exchange", "priority")
    return {key: value for key in names if (value := getattr(task, key, None)) is not None}


def _doc(task: Any, run: Any) -> str | None:
    """The docstring of the task's function or class; not that of Celery's Task class or of ours."""
    own = [getattr(run, "__doc__", None)]
    own += [
        kind.__dict__.get("__doc__")
        for kind in type(task).__mro__
        if kind is not object and not kind.__module__.startswith(("celery.", "livetask.worker."))
    ]
    return next((doc for doc in own if doc), None)


def _route(app: Any, task: Any) -> tuple[str | None, str | None]:
    found = app.amqp.router.route(options_of(task), task.name, (), {}, task)
    queue = found.get("queue")
    key = found.get("routing_key") or getattr(queue, "routing_key", None)
    return getattr(queue, "name", queue), key if isinstance(key, str) else None


def parameters_of(function: Callable[..., Any]) -> tuple[Parameter, ...] | None:
    """The parameters of a function, without ``self`` where it is bound; None if Python cannot tell."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    return tuple(_parameter(one) for one in signature.parameters.values())


def _without_duty(parameters: tuple[Parameter, ...] | None, given: Sequence[str]) -> tuple[Parameter, ...] | None:
    """The same, but nobody has to give what the worker gives."""
    if parameters is None or not given:
        return parameters
    return tuple(replace(one, required=False) if one.name in given else one for one in parameters)


def shortened_doc(doc: str | None) -> str:
    """A docstring without its indentation, at most DOC_BYTES."""
    text = inspect.cleandoc(doc or "")
    data = text.encode("utf-8", "replace")
    return text if len(data) <= DOC_BYTES else data[: DOC_BYTES - 3].decode("utf-8", "ignore") + "..."


def _parameter(one: inspect.Parameter) -> Parameter:
    kind = one.kind.name.lower()
    has_default = one.default is not inspect.Parameter.empty
    default, default_text = _default(one.default) if has_default else (None, None)
    hint = _hint(one.annotation)
    types, choices = allowed_by(hint)
    if has_default and one.default is None:
        # an old way to write Optional
        types = None if types is None else tuple(dict.fromkeys((*types, "null")))
        choices = None if choices is None else tuple(dict.fromkeys((*choices, None)))
    required = not has_default and kind not in _MANY
    return Parameter(one.name, kind, required, default, default_text, hint, types, choices)


def _default(value: Any) -> tuple[Any, str | None]:
    """(as JSON has it, None), or (None, its repr) where JSON cannot hold it."""
    try:
        text = json.dumps(value, allow_nan=False)
        if len(text) <= _DEFAULT_BYTES:
            return json.loads(text), None
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        shown = repr(value)
    except Exception:
        shown = f"<{type(value).__name__}>"
    return None, shown[:_HINT_CHARACTERS]


def _hint(annotation: Any) -> str | None:
    if annotation is inspect.Parameter.empty:
        return None
    try:
        text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    except Exception:
        return None
    return text.replace("typing.", "")[:_HINT_CHARACTERS]


def allowed_by(hint: str | None) -> tuple[tuple[str, ...] | None, tuple[Any, ...] | None]:
    """(JSON's types, the only values) that a hint allows; None for any, also where a part of it is not known."""
    try:
        tree = ast.parse(hint or "", mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        return None, None
    choices = _literals(tree)
    if choices is not None:
        return None, choices
    found = _types(tree)
    return (tuple(dict.fromkeys(found)) if found else None), None


def _types(node: ast.expr) -> list[str] | None:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _together([node.left, node.right])
    if isinstance(node, ast.Constant) and node.value is None:
        return ["null"]
    if isinstance(node, ast.Subscript):
        name = _name(node.value)
        inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name == "Optional":
            return _together([*inside, ast.Constant(None)])
        if name == "Union":
            return _together(inside)
        if name == "Annotated":
            return _types(inside[0])
        return _of_name(name)
    return _of_name(_name(node))


def _together(nodes: Sequence[ast.expr]) -> list[str] | None:
    found: list[str] = []
    for node in nodes:
        types = _types(node)
        if types is None:
            return None
        found += types
    return found


def _of_name(name: str) -> list[str] | None:
    return [_JSON[name]] if name in _JSON else None


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _literals(node: ast.expr) -> tuple[Any, ...] | None:
    """The values of ``Literal[...]``, also with ``| None``, if JSON knows them all."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        sides = [_literals(side) for side in (node.left, node.right)]
        nothing = [isinstance(side, ast.Constant) and side.value is None for side in (node.left, node.right)]
        known = [
            found if found is not None else (None,) if none else None
            for found, none in zip(sides, nothing, strict=True)
        ]
        return None if None in known or sides == [None, None] else (*(known[0] or ()), *(known[1] or ()))
    if not isinstance(node, ast.Subscript) or _name(node.value) != "Literal":
        return None
    inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    try:
        values = tuple(ast.literal_eval(one) for one in inside)
    except ValueError:
        return None
    return values if all(value is None or isinstance(value, str | int) for value in values) else None


_JSON = {
    "int": "integer", "float": "number", "str": "string", "bool": "boolean", "None": "null", "NoneType": "null",
    "list": "array", "List": "array", "tuple": "array", "Tuple": "array", "set": "array", "Set": "array",
    "frozenset": "array", "FrozenSet": "array", "Sequence": "array", "Iterable": "array", "Collection": "array",
    "dict": "object", "Dict": "object", "Mapping": "object", "MutableMapping": "object",
}  # fmt: skip
"""By the name in a hint, the type that JSON brings it as."""

_IS: Mapping[str, Callable[[object], bool]] = {
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, list | tuple),
    "object": lambda value: isinstance(value, dict),
}

_SAID = {
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}
