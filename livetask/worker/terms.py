"""What holds for every run on its way into Redis: the settings it needs, and which of its texts are shown.

Plain values: it must never know where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from livetask.keys import Keys
from livetask.masking import Mask


@dataclass(frozen=True, slots=True)
class Terms:
    """The settings of a run's way into Redis, as plain values; units as in the settings."""

    keys: Keys
    chunk_bytes: int
    run_cap_bytes: int
    keep_ms: int
    lease_ms: int
    recent_cap: int
    runs_kept: int
    events_kept: int
    mask: Mask | None = None

    def shown(self, text: str) -> str:
        """A text without its secrets."""
        return text if self.mask is None else self.mask.text(text)

    def shown_values(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The same for the texts among the values; all at once where there is no secret in them, as in most."""
        if self.mask is None:
            return dict(fields)
        all_texts = "\n".join([value for value in fields.values() if isinstance(value, str)])
        with suppress(UnicodeEncodeError):
            data = all_texts.encode()
            if self.mask.hidden_at_once(data) is data:
                return dict(fields)
        return {key: self.shown(value) if isinstance(value, str) else value for key, value in fields.items()}

    def shown_task(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The same for what is known of a task: the arguments for another run, which would run with stars, are not
        kept where a secret is in them."""
        found = self.shown_values(fields)
        if found.get("call") != fields.get("call"):
            del found["call"]
            found["call_not"] = "secret"
        return found
