"""Where a request really comes from: what a reverse proxy says of it counts only if the proxy is a trusted one.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from livetask.server.access.presented import Presented
from livetask.setting_errors import SettingInvalid

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Proxies:
    """The trusted proxies. ``networks``: where they connect from; none: nobody is trusted."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, written: Iterable[str]) -> Proxies:
        """Read addresses and networks, ``10.0.0.5`` and ``10.1.0.0/16``. Raises SettingInvalid."""
        return cls(tuple(_network(text) for text in written))

    def trusts(self, address: str) -> bool:
        """Whether a trusted proxy connects from there."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found.version == network.version and found in network for network in self.networks)

    def client_of(self, presented: Presented) -> str:
        """The address of the client: behind trusted proxies the last one in X-Forwarded-For that is none of them."""
        address = presented.remote
        said = [one.strip() for line in presented.headers.get("x-forwarded-for", ()) for one in line.split(",")]
        while said and self.trusts(address):
            nearer = said.pop()
            try:
                address = str(ipaddress.ip_address(nearer))
            except ValueError:
                break
        return address

    def is_encrypted(self, scheme: str, presented: Presented) -> bool:
        """Whether the client's browser speaks TLS: with this server, or with a trusted proxy that says so."""
        if scheme == "https":
            return True
        said = presented.headers.get("x-forwarded-proto", ())
        return self.trusts(presented.remote) and said == ("https",)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise SettingInvalid("trusted_proxies", text, "addresses or networks: 10.0.0.5, 10.1.0.0/16, ::1") from None
