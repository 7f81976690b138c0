"""Who can reach a server by where it listens and what it answers to: as long as it asks nobody, only this machine may.

Pure: no I/O, no clock. Must never know: how callers are recognised.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress

from livetask.setting_errors import SettingInvalid

LOUD = """\
livetask: INSECURE, as you wished: nobody is asked who they are. Whoever reaches this address reads the output of all
livetask: tasks and starts those that may be started. --auth required asks; see docs/access.md"""

_UNASKED = (
    "because nobody is asked who they are, and whoever reaches the server may read all output and start the allowed "
    "tasks. Ways out: --auth required (LIVETASK_AUTH), with users and tokens; a login by a reverse proxy "
    "(trusted_proxies, proxy_user_header), by OpenID Connect (oidc_issuer) or by a callable of your own (--auth "
    "module:name); or --insecure to be reached all the same"
)


def check_reach(host: str, names: tuple[str, ...]) -> None:
    """Raise SettingInvalid if others can reach a server that asks nobody. ``names``: others that it answers to.

    One that listens to this machine only, and is to answer to another name, stands behind a proxy that others reach.
    """
    if not is_loopback(host):
        only = "an address that only this machine reaches (127.0.0.1, ::1 or localhost)"
        raise SettingInvalid("host", host, f"{only}, {_UNASKED}")
    if names:
        raise SettingInvalid("allowed_hosts", names, f"no other name than this machine's own, {_UNASKED}")


def is_loopback(host: str) -> bool:
    """Only this machine reaches that address."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
