"""The archive in S3: the same promises, with a server that speaks its protocol, and with ones that do not."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from livetask.archive_errors import ArchiveUnavailable
from livetask.position import START, Gap
from livetask.server.archive.directory import DirectoryShelf
from livetask.server.archive.s3 import S3Shelf
from livetask.server.archive.shelf import ObjectMissing, Shelf
from livetask.setting_errors import SettingInvalid
from livetask.settings import Settings
from tests.real.redis_servers import RealRedis
from tests.server.archiving import Archiving, lines_written, read_all
from tests.server.conftest import Write


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """A server of moto, in a thread."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_url: str, monkeypatch: pytest.MonkeyPatch, prefix: str) -> S3Shelf:
    """A shelf in a bucket of its own."""
    _as_anna(monkeypatch, s3_url)
    shelf = S3Shelf(f"s3://{prefix}/some/folder")
    shelf._s3.create_bucket(Bucket=prefix)
    return shelf


def _as_anna(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anna")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture(params=["directory", "s3"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    """Each kind of shelf there is."""
    if request.param == "directory":
        return DirectoryShelf(tmp_path / "shelf")
    found: S3Shelf = request.getfixturevalue("s3")
    return found


def test_every_shelf_keeps_what_it_promises(shelf: Shelf) -> None:
    assert (shelf.names("a"), shelf.folders("a")) == ([], [])
    shelf.put("a/one", b"0123456789")
    shelf.put("a/two", b"")
    shelf.put("a/b/three", b"3")
    shelf.put("a/one", b"abcdefghij")
    assert shelf.names("a") == [("one", 10), ("two", 0)]
    assert shelf.folders("a") == ["b"]
    assert (shelf.get("a/one"), shelf.get("a/one", 2, 3), shelf.get("a/one", 8)) == (b"abcdefghij", b"cde", b"ij")
    assert (shelf.get("a/one", 8, 100), shelf.get("a/one", 3, 0), shelf.get("a/two")) == (b"ij", b"", b"")
    with pytest.raises(ObjectMissing):
        shelf.get("a/four")
    shelf.delete("a/one")
    shelf.delete("a/one")
    assert shelf.names("a") == [("two", 0)]
    shelf.delete("a/b/three")
    assert shelf.folders("a") == []


async def test_what_is_archived_in_s3_reads_the_same_and_goes_when_deleted(
    valkey: RealRedis, prefix: str, tmp_path: Path, writer: Write, s3: S3Shelf
) -> None:
    async with Archiving(valkey.url, prefix, tmp_path, s3) as archiving:
        run = writer(cap_bytes=100_000)
        run.begin()
        for _ in range(4):
            lines_written(run, 500)
            await archiving.move(run.task_id)
        run.finish()
        await archiving.move(run.task_id)
        assert run.client.exists(run.output) == 0
        assert run.client.hget(run.task, "1.archive") == b"s3"
        run.client.delete(run.task)
        assert await read_all(archiving.store, run) == (bytes(run.text), [])
        eraser = archiving.keeping.eraser
        assert eraser is not None
        await eraser.erase(run.task_id, "anna")
        assert s3._s3.list_objects_v2(Bucket=prefix).get("KeyCount") == 0


class _Refusing(BaseHTTPRequestHandler):
    """Answers 403 to everything, or nothing at all while it is stuck."""

    stuck = threading.Event()
    protocol_version = "HTTP/1.1"

    def _refuse(self) -> None:
        if self.stuck.is_set():
            time.sleep(0.5)  # as long as the other side waits at most, in this test
            self.close_connection = True
            return
        body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    do_GET = do_PUT = do_DELETE = _refuse  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
    _Refusing.stuck.clear()


@pytest.mark.parametrize("fault", ["denied", "no bucket", "away", "stuck"])
async def test_s3_that_cannot_be_used_leaves_everything_in_redis_and_says_why(
    fault: str,
    valkey: RealRedis,
    prefix: str,
    tmp_path: Path,
    writer: Write,
    s3_url: str,
    refusing: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _as_anna(monkeypatch, {"denied": refusing, "stuck": refusing, "no bucket": s3_url}.get(fault, "http://127.0.0.1:1"))
    monkeypatch.setattr("livetask.server.archive.s3._ANSWER_S", 0.2)
    if fault == "stuck":
        _Refusing.stuck.set()
    async with Archiving(valkey.url, prefix, tmp_path, S3Shelf("s3://nowhere-at-all")) as archiving:
        run = writer()
        run.begin()
        lines_written(run, 100)
        gap = run.gap(lines=3, size_bytes=50)
        run.finish()
        with pytest.raises(ArchiveUnavailable) as told:
            await archiving.move(run.task_id)
        words = {"denied": "AccessDenied", "no bucket": "NoSuchBucket"}.get(fault, "S3: ")
        assert words in str(told.value)
        assert "127.0.0.1" not in str(told.value)
        assert run.client.exists(run.output) == 1
        assert await read_all(archiving.store, run, START) == (bytes(run.text), [gap])
        assert isinstance(gap, Gap)


def test_an_address_that_is_none_is_refused_in_one_sentence() -> None:
    for wrong in ("bucket", "s3://", "s3://UPPER", "http://bucket/x"):
        with pytest.raises(SettingInvalid, match="s3://bucket/folder"):
            Settings.load(flags={"archive_s3": wrong})
    with pytest.raises(SettingInvalid, match="archive_s3 is given"):
        Settings.load(flags={"archive_s3": "s3://bucket", "archive_dir": "/x"})
