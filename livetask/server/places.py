"""Where the pages' templates and static files lie: inside an installed package, or at the top of a checkout.

Knows nothing but paths.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def templates_dir() -> Path:
    """The folder of the Jinja templates."""
    return _place("templates")


def static_dir() -> Path:
    """The folder of what is served under /static/."""
    return _place("static")


def _place(name: str) -> Path:
    """The folder inside the package if a wheel put it there, else the one beside it: an edited page shows at once."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
