"""The shelf: where the archive's objects lie. What an implementation must hold, whatever it stands on.

Its methods block, and are called in threads only. They raise ArchiveUnavailable when the place does not answer, refuses
or is full; ``get`` raises ObjectMissing for what is not there.
"""

from __future__ import annotations

from typing import Protocol


class ObjectMissing(Exception):
    """There is no object of that name."""


class Shelf(Protocol):
    """Objects by name. A name is some words with slashes between them; a folder is a name's beginning."""

    @property
    def kind(self) -> str:
        """A word for people: 'directory' or 's3'."""

    def put(self, name: str, data: bytes) -> None:
        """Store an object: afterwards it is there whole, also after a loss of power; before it was not there at all."""

    def get(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        """``size`` bytes of an object from ``start`` on, fewer at its end; None: all there are."""

    def names(self, folder: str) -> list[tuple[str, int]]:
        """(last word of the name, size in bytes) of all objects directly in a folder, sorted."""

    def folders(self, folder: str) -> list[str]:
        """The last words of the folders directly in a folder, sorted."""

    def delete(self, name: str) -> None:
        """Take an object away; nothing happens if it is not there."""
