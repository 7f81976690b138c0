"""A shelf in a directory: of this machine, or one that all servers share.

An object is written under another name, brought to the disk, and then given its own, so nobody ever sees half of one.
What a writer that died has left is swept away later; the names begin with a dot, and nobody lists them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from livetask.archive_errors import ArchiveUnavailable
from livetask.server.archive.shelf import ObjectMissing

_LEFT_S = 3600.0
"""No object takes that long to write: what is older was left behind by a writer that died."""


class DirectoryShelf:
    """See Shelf. ``root``: made when something is put there, readable by its owner only."""

    kind = "directory"

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, data: bytes) -> None:
        target = self._path(name)
        with _told(name):
            self._made(target.parent)
            waiting = target.parent / f".{secrets.token_hex(8)}.new"
            try:
                _written(waiting, data)
                waiting.replace(target)
            except BaseException:
                with contextlib.suppress(OSError):
                    waiting.unlink()
                raise
            _sync(target.parent)

    def get(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        with _told(name):
            try:
                fd = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError):
                raise ObjectMissing(name) from None
            try:
                wanted = os.fstat(fd).st_size - start if size is None else size
                return b"".join(_read(fd, start, wanted))
            finally:
                os.close(fd)

    def names(self, folder: str) -> list[tuple[str, int]]:
        with _told(folder):
            try:
                with os.scandir(self._path(folder)) as found:
                    return sorted(_sized(entry for entry in found if not entry.name.startswith(".")))
            except FileNotFoundError:
                return []

    def folders(self, folder: str) -> list[str]:
        with _told(folder):
            try:
                with os.scandir(self._path(folder)) as found:
                    return sorted(entry.name for entry in found if entry.is_dir())
            except FileNotFoundError:
                return []

    def delete(self, name: str) -> None:
        path = self._path(name)
        with _told(name):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
            self._tidied(path.parent)

    def _tidied(self, folder: Path) -> None:
        """Take away what dead writers have left in a folder, and the folder, and those above it, if nothing is left."""
        with contextlib.suppress(OSError):
            for entry in os.scandir(folder):
                if entry.name.startswith(".") and entry.stat().st_mtime < time.time() - _LEFT_S:
                    os.unlink(entry.path)  # noqa: PTH108 - the entry has its path as text
        with contextlib.suppress(OSError):
            while folder != self._root:
                folder.rmdir()
                folder = folder.parent

    def _made(self, folder: Path) -> None:
        """Make a folder and those above it, so that they are there after a loss of power too."""
        if folder.is_dir():
            return
        if folder != self._root:
            self._made(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700, parents=folder == self._root)
        _sync(folder.parent)

    def _path(self, name: str) -> Path:
        words = name.split("/")
        if not all(word and word.strip(".") for word in words):
            raise ValueError(f"{name!r} is no name of an object")
        return self._root.joinpath(*words)


def _sized(found: Iterator[os.DirEntry[str]]) -> Iterator[tuple[str, int]]:
    for entry in found:
        with contextlib.suppress(FileNotFoundError):  # taken away meanwhile
            if entry.is_file():
                yield entry.name, entry.stat().st_size


def _written(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _read(fd: int, start: int, size: int) -> Iterator[bytes]:
    while size > 0:
        data = os.pread(fd, size, start)
        if not data:
            return
        yield data
        start, size = start + len(data), size - len(data)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems sync no directories
            raise
    finally:
        os.close(fd)


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Tell what the system refuses; the path of the directory is nobody's affair but the log's."""
    try:
        yield
    except OSError as error:
        raise ArchiveUnavailable(f"{name}: {error.strerror or error}") from error
