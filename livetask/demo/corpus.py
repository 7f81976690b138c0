"""What the demo works on: the files of the Python installation that runs it. Knows nothing of Celery."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

NOT_PYTHONS_OWN = ("site-packages", "dist-packages", "__pycache__")


def stdlib() -> Path:
    """The directory of the standard library."""
    return Path(sysconfig.get_path("stdlib"))


def stdlib_files(suffix: str = "") -> list[Path]:
    """All files of the standard library that end in ``suffix``, sorted; installed packages are none of it."""
    return sorted(path for path in _walk(stdlib()) if path.name.endswith(suffix))


def shown(path: Path) -> str:
    """The path as the demo prints it: within the standard library."""
    return str(path.relative_to(stdlib()))


def _walk(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            if path.name not in NOT_PYTHONS_OWN:
                yield from _walk(path)
        elif path.is_file():
            yield path
