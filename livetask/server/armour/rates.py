"""How often one caller may do what costs something: a bucket of tokens for each kind of deed and each caller.

A bucket holds as many tokens as a minute gives, and fills evenly. It is kept as one figure, the time at which it will
be full again. When there are too many, those unused for longest are forgotten: who has that many addresses to ask from
is not stopped by a limit for each of them anyway.

Pure: no I/O; it is told the time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

MOST = 20_000
"""How many buckets are kept: 4 MB."""


class Rates:
    """``per_minute``: how many deeds of each kind one caller may do in a minute; 0, or no such kind: any number."""

    def __init__(self, per_minute: Mapping[str, int], most: int = MOST) -> None:
        self._step_s = {kind: 60 / limit for kind, limit in per_minute.items() if limit > 0}
        self._full_at_s: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._most = most

    def take(self, kind: str, who: str, now_s: float, cost: int = 1) -> float:
        """Take ``cost`` tokens: 0.0, or in how many seconds there will be enough of them, and none is taken.

        More than a bucket holds is taken from a full one, which is then in debt.
        """
        step_s = self._step_s.get(kind)
        if step_s is None:
            return 0.0
        key = (kind, who)
        full_at_s = max(self._full_at_s.get(key, now_s), now_s)
        wait_s = full_at_s + min(cost * step_s, 60.0) - now_s - 60.0
        if wait_s > 1e-9:
            return wait_s
        self._full_at_s[key] = full_at_s + cost * step_s
        self._full_at_s.move_to_end(key)
        if len(self._full_at_s) > self._most:
            self._full_at_s.popitem(last=False)
        return 0.0

    def __len__(self) -> int:
        return len(self._full_at_s)


@lru_cache(4096)
def place_of(address: str) -> str:
    """What stands for an address: of IPv6 the network that one household is given, since it has 2**64 of them."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> 64 << 64))
