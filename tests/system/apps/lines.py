"""Lines that prove themselves. Pure."""

from __future__ import annotations

import hashlib


def line(number: int) -> str:
    """Line ``number``, from 1: its number, its hash, and a part whose length and alphabet change."""
    proof = hashlib.sha256(str(number).encode()).hexdigest()
    return f"{number:08} {proof[:16]} {'żółw漢字🐍ab'[: number % 10]}{proof[: number % 64]}\n"


def text(lines: int) -> bytes:
    """All lines up to ``lines``, as bytes."""
    return "".join(line(number) for number in range(1, lines + 1)).encode()
