"""Which addresses may this server call because a caller says so? Public ones, and what its operator lets through."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NOT_PUBLIC_4: Final = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # behind a provider's address translation
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local: the metadata of clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # of protocols
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # tunnels found by anycast
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_PUBLIC_6: Final = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that was ever handed out; IPv4 in IPv6, NAT64, loopback, local and multicast lie elsewhere."""
_NOT_PUBLIC_6: Final = tuple(
    ipaddress.IPv6Network(block)
    for block in (
        "2001::/23",  # of protocols; Teredo, which holds an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which holds an IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)

_NUMBER: Final = re.compile(r"([0-9]+|0[xX][0-9a-fA-F]*)\Z")


def networks_of(notations: Sequence[str]) -> tuple[Network, ...]:
    """Networks in CIDR notation.

    Raises:
        ValueError: naming the one that is none.
    """
    return tuple(ipaddress.ip_network(notation) for notation in notations)


def may_be_called(address: Address, allowed: Sequence[Network] = ()) -> bool:
    """Whether it is a public address of one machine, or in a network that is let through."""
    if any(address.version == network.version and address in network for network in allowed):
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)


def address_in(host: str) -> Address | None:
    """The address that a host is written as; None where it is a name.

    Raises:
        ValueError: it is an address, but not as one is written everywhere: some take ``0x7f.1`` or ``2130706433``
            for 127.0.0.1, and what is called must be what was looked at.
    """
    if "%" in host:
        raise ValueError(host)  # an interface of this machine
    if ":" in host:
        return ipaddress.IPv6Address(host)
    if _NUMBER.match(host.removesuffix(".").rpartition(".")[2]):
        return ipaddress.IPv4Address(host)
    return None
