"""A shelf in S3, or in what speaks its protocol.

An object is one PUT, which is there whole or not at all, and is listed at once: what the archive asks of a shelf. Who
may do it is found as all of Amazon's tools find it: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, the
machine's role; AWS_ENDPOINT_URL_S3 names another server than Amazon's. What is refused is told without names and
addresses.

Needs boto3, which ``livetask[s3]`` installs; it is loaded with the first shelf.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from livetask.archive_errors import ArchiveUnavailable
from livetask.server.archive.shelf import ObjectMissing
from livetask.setting_errors import SettingInvalid

_CONNECT_S = 2.0
_ANSWER_S = 4.0
_TRIES = 2
_CONNECTIONS = 10


class S3Shelf:
    """See Shelf. ``address``: ``s3://bucket/folder``, the folder may be empty. Raises SettingInvalid without boto3."""

    kind = "s3"

    def __init__(self, address: str) -> None:
        self._bucket, _, folder = address.removeprefix("s3://").partition("/")
        self._prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
        self._s3, self._refusals = _client()

    def put(self, name: str, data: bytes) -> None:
        with self._told():
            self._s3.put_object(Bucket=self._bucket, Key=self._key(name), Body=data)

    def get(self, name: str, start: int = 0, size: int | None = None) -> bytes:
        if size is not None and size <= 0:
            return b""
        wanted = {} if start == 0 and size is None else {"Range": _range(start, size)}
        with self._told(name):
            answer = self._s3.get_object(Bucket=self._bucket, Key=self._key(name), **wanted)
            with contextlib.closing(answer["Body"]) as body:
                return bytes(body.read())

    def names(self, folder: str) -> list[tuple[str, int]]:
        prefix = f"{self._key(folder)}/"
        with self._told():
            return sorted(
                (found["Key"].removeprefix(prefix), int(found["Size"]))
                for page in self._pages(prefix)
                for found in page.get("Contents", ())
            )

    def folders(self, folder: str) -> list[str]:
        prefix = f"{self._key(folder)}/"
        with self._told():
            return sorted(
                found["Prefix"].removeprefix(prefix).rstrip("/")
                for page in self._pages(prefix)
                for found in page.get("CommonPrefixes", ())
            )

    def delete(self, name: str) -> None:
        with self._told():
            self._s3.delete_object(Bucket=self._bucket, Key=self._key(name))

    def _pages(self, prefix: str) -> Iterator[dict[str, Any]]:
        pages = self._s3.get_paginator("list_objects_v2")
        yield from pages.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/")

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    @contextlib.contextmanager
    def _told(self, name: str = "") -> Iterator[None]:
        """Tell what S3 refuses, or that it does not answer. ``name``: of an object that may be missing."""
        try:
            yield
        except self._refusals as error:
            response = getattr(error, "response", None) or {}
            code = str(response.get("Error", {}).get("Code", ""))
            if name and code in ("NoSuchKey", "404"):
                raise ObjectMissing(name) from None
            raise ArchiveUnavailable(f"S3: {code or type(error).__name__}") from error


def _client() -> tuple[Any, tuple[type[Exception], ...]]:
    """A client, which any thread may use, and what it raises."""
    try:
        from boto3.session import Session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ModuleNotFoundError as error:
        raise SettingInvalid("archive_s3", "an address", "boto3 to be there too: install livetask[s3]") from error
    config = Config(
        connect_timeout=_CONNECT_S,
        read_timeout=_ANSWER_S,
        retries={"total_max_attempts": _TRIES, "mode": "standard"},
        max_pool_connections=_CONNECTIONS,
        # other servers than Amazon's do not know the newer checksums; the archive has its own
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        return Session().client("s3", config=config), (BotoCoreError, ClientError)
    except (BotoCoreError, ValueError) as error:
        raise SettingInvalid("archive_s3", str(error), "what boto3 needs to be set") from error


def _range(start: int, size: int | None) -> str:
    return f"bytes={start}-" if size is None else f"bytes={start}-{start + size - 1}"
