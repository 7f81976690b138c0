"""What URLs of Redis say."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from livetask.keys import Keys
from livetask.redis_places import Cluster, One, Sentinels, broker_of, key_of, one_stream_each, place_of


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/2", {"host": "h", "port": 1, "db": 2}),
        ("valkey://h:1", {"host": "h", "port": 1}),
        ("redis+socket:///run/r.sock?virtual_host=3", {"path": "/run/r.sock", "db": 3}),
        ("unix:///run/r.sock", {"path": "/run/r.sock"}),
        ("rediss://h:1/0?ssl_cert_reqs=CERT_NONE", {"host": "h"}),
    ],
)
def test_the_spellings_of_urls_that_celery_has_are_understood(url: str, shown: dict[str, Any]) -> None:
    place = place_of(url)
    assert isinstance(place, One)
    client = redis.Redis.from_url(place.url)
    assert shown.items() <= client.connection_pool.connection_kwargs.items()
    client.close()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("sentinel://a:1,b", Sentinels((("a", 1), ("b", 26379)), "mymaster")),
        ("sentinel://:p%40ss@a:1,b:2/live/3", Sentinels((("a", 1), ("b", 2)), "live", 3, "p@ss")),
        ("sentinel://a:1/3", Sentinels((("a", 1),), "mymaster", 3)),
        (
            "sentinel://:pw@a:1;sentinel://:pw@b:2/3?master_name=live",
            Sentinels((("a", 1), ("b", 2)), "live", 3, "pw"),
        ),
        ("redis+cluster://a,b:7/", Cluster((("a", 6379), ("b", 7)))),
        ("rediss+cluster://me:pw@[::1]:7,a:1", Cluster((("::1", 7), ("a", 1)), "pw", "me", tls=True)),
        ("valkey+cluster://a:1", Cluster((("a", 1),))),
    ],
)
def test_sentinels_and_clusters_are_read_from_their_urls(url: str, place: object) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize("url", ["sentinel://", "redis+cluster:///0", "redis+cluster://a:nine"])
def test_a_url_without_a_host_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        place_of(url)


def test_celery_is_given_the_same_redis_as_its_broker_unless_it_is_a_cluster() -> None:
    assert broker_of("valkey://h:1/2") == ("redis://h:1/2", {})
    sentinels = ("sentinel://:p%40ss@a:1/3;sentinel://:p%40ss@b:2/3", {"master_name": "live"})
    assert broker_of("sentinel://:p%40ss@a:1,b:2/live/3") == sentinels
    assert place_of(f"{sentinels[0]}?master_name=live") == place_of("sentinel://:p%40ss@a:1,b:2/live/3")
    assert broker_of("redis+cluster://h:1") is None


def test_the_password_is_not_shown() -> None:
    for url in ("redis://:hunter2@h", "sentinel://:hunter2@h", "redis+cluster://:hunter2@h"):
        assert "hunter2" not in repr(place_of(url))


def test_each_command_goes_to_the_node_of_its_key() -> None:
    assert key_of(("EVALSHA", "sha", 2, "one", "two", "word")) == "one"
    assert key_of(("HGETALL", b"name")) == "name"
    assert key_of(("TIME",)) is None
    assert key_of(("XREAD", "COUNT", 1, "BLOCK", 2, "STREAMS", "s", "0")) == "s"


def test_streams_of_several_slots_are_read_one_by_one() -> None:
    keys = Keys()
    names = [keys.stops(0), keys.stops(1)]
    head = ("XREAD", "COUNT", 5, "STREAMS")
    assert one_stream_each((*head, *names, "0", "7-1")) == [(*head, names[0], "0"), (*head, names[1], "7-1")]
    assert one_stream_each(("GET", "x")) == [("GET", "x")]
