"""The proxy of faults is itself checked: it passes everything on, and does each fault asked for."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.real.fault_proxy import FaultProxy
from tests.system.rig import free_port, wait_for


@contextlib.contextmanager
def echo() -> Iterator[int]:
    """A server that sends back what it gets; yields its port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def answered(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while piece := connection.recv(65536):
                connection.sendall(piece)

    def accepted() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answered, args=(listening.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accepted, daemon=True)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(60)


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    with echo() as port, FaultProxy(port) as proxy:
        yield proxy


@contextlib.contextmanager
def connected(proxy: FaultProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=90) as client:
        yield client


def received(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := client.recv(65536)):
        data += piece
    return data


def test_it_passes_on_every_byte_in_order(proxy: FaultProxy) -> None:
    data = bytes(range(256)) * 2000
    with connected(proxy) as client:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        assert received(client, len(data)) == data
        sender.join()


def test_a_cut_resets_the_connections_that_are_open(proxy: FaultProxy) -> None:
    with connected(proxy) as one, connected(proxy) as other:
        for client in (one, other):
            client.sendall(b"x")
            assert received(client, 1) == b"x"
        assert proxy.cut() == 2
        for client in (one, other):
            with pytest.raises(ConnectionResetError):
                client.recv(1)
    wait_for("both are forgotten", lambda: proxy.open_connections == 0)
    with connected(proxy) as again:
        again.sendall(b"y")
        assert received(again, 1) == b"y"


def test_a_black_hole_holds_what_was_sent_and_lets_it_go_afterwards(proxy: FaultProxy) -> None:
    with connected(proxy) as client:
        client.sendall(b"a")
        assert received(client, 1) == b"a"
        proxy.black_hole = True
        client.sendall(b"b")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        proxy.black_hole = False
        client.settimeout(90)
        assert received(client, 1) == b"b"


def test_refusing_ends_new_connections_and_leaves_old_ones(proxy: FaultProxy) -> None:
    with connected(proxy) as old:
        old.sendall(b"a")
        assert received(old, 1) == b"a"
        proxy.refusing = True
        with contextlib.suppress(ConnectionError), connected(proxy) as new:
            assert new.recv(1) == b""
        old.sendall(b"b")
        assert received(old, 1) == b"b"


def test_a_lost_reply_cuts_the_connection_in_its_place(proxy: FaultProxy) -> None:
    proxy.lost_replies = 1.0
    with connected(proxy) as client:
        client.sendall(b"a")
        with contextlib.suppress(ConnectionError):
            assert received(client, 1) == b""
    wait_for("the cut is counted", lambda: proxy.cuts == 1)


def test_with_several_ports_behind_it_connections_go_to_any_of_them() -> None:
    with echo() as one, echo() as other, FaultProxy(one) as proxy:
        proxy.others = (other,)
        for _ in range(20):
            with connected(proxy) as client:
                client.sendall(b"a")
                assert received(client, 1) == b"a"
        proxy.others = (free_port(),)
        answered = 0
        for _ in range(20):
            with contextlib.suppress(ConnectionError), connected(proxy) as client:
                client.sendall(b"a")
                answered += received(client, 1) == b"a"
        assert 0 < answered < 20
