"""What a request, or a Socket.IO connection, brings along to say who it comes from: plain values.

Pure: no I/O, no clock. Must never know: what any of it proves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

MOST_CHARACTERS = 4096
"""A secret that is longer is none of ours."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What was brought along. Its repr shows none of it.

    ``remote``: the address of the connection's other end, '' if unknown. ``headers``: all values of each header, names
    in lower case. ``cookies``: by name. ``auth``: the texts in the object that a Socket.IO client connects with.
    """

    remote: str = ""
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def token(self) -> str:
        """The bearer token of the header or of the Socket.IO client, '' if there is none, or more than one header."""
        given = self.auth.get("token", "")
        if given:
            return given
        values = self.headers.get("authorization", ())
        scheme, _, token = values[0].partition(" ") if len(values) == 1 else ("", "", "")
        return token.strip() if scheme.lower() == "bearer" else ""

    def with_auth(self, payload: object) -> Presented:
        """The same with what a Socket.IO client connected with. ``payload``: anything; texts of an object count."""
        if not isinstance(payload, dict):
            return self
        texts = {
            name: value
            for name, value in payload.items()
            if isinstance(name, str) and isinstance(value, str) and len(value) <= MOST_CHARACTERS
        }
        return replace(self, auth=texts)
