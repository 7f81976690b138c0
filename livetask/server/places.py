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
    """The folder of what is served under /static/: in a checkout what was built from it, unless a file is newer."""
    source = _place("static")
    built = source / "built"
    return built if is_fresh(built, source) else source


def is_fresh(built: Path, source: Path) -> bool:
    """Whether nothing in ``source`` has changed since ``built`` was made of it."""
    if not built.is_dir():
        return False
    made = built.stat().st_mtime_ns
    others = (path for path in source.iterdir() if path != built)
    files = (file for path in others for file in (path, *path.rglob("*")))
    return all(file.stat().st_mtime_ns <= made for file in files)


def _place(name: str) -> Path:
    """The folder inside the package if a wheel put it there, else the one beside it: an edited page shows at once."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
