"""Fixtures of the fault tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.oracle.house import House, house_in
from tests.system.rig import rig_in


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house without a worker and without a server."""
    with _house(tmp_path) as house:
        yield house


@pytest.fixture
def lived_in(house: House) -> House:
    """A house with a prefork worker and a server; leases of 3 s."""
    return _settled(house)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The same for the tests of a module that leave it as it was."""
    with _house(tmp_path_factory.mktemp("house")) as house:
        yield _settled(house)


@contextmanager
def _house(place: Path) -> Iterator[House]:
    with rig_in(place) as rig, house_in(rig, LIVETASK_LEASE_S="3") as house:
        yield house


def _settled(house: House) -> House:
    house.start_worker()
    house.start_server()
    return house
