"""Which network addresses are the public internet's, and what a host name resolves to.

Private, local and special-purpose ranges follow the IANA registries (RFC 6890 and its updates), as Python's
`ipaddress` knows them, and what those leave open is closed here.
"""

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address

from pinakes.errors import PinakesError, bad_request

Address = IPv4Address | IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that is given out; what lies outside reaches nobody, or this network alone."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 as an IPv6-only network shows it (RFC 6052): judged as the IPv4 address within."""
_NEVER: tuple[Network, ...] = (
    ipaddress.IPv4Network("168.63.129.16/32"),  # a service inside every Azure network, though the range is public
    ipaddress.IPv4Network("192.0.0.0/24"),  # protocol assignments; Oracle's metadata uses one
    ipaddress.IPv4Network("192.88.99.0/24"),  # relays of 6to4
    ipaddress.IPv6Network("2001::/32"),  # Teredo, and
    ipaddress.IPv6Network("2002::/16"),  # 6to4: tunnels that carry any IPv4 address within, private ones too
    ipaddress.IPv6Network("3fff::/20"),  # documentation (RFC 9637), which older Pythons do not know
)


def resolve(host: str, port: int, private_hosts: tuple[str, ...] = ()) -> list[str]:
    """The addresses of a host, in the order to try them, when it is right to connect to every one.

    That is when they are public, or `private_hosts` holds the name or networks with them. Any spelling of an address
    that the system takes (decimal, octal, hexadecimal, short) is looked at as the address it means. BAD_REQUEST naming
    `url` otherwise, the same for an unknown name, so that nobody learns the names of this network. Waits as long as the
    system's resolver does.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _refusal(host) from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if host.lower() not in (name.lower() for name in private_hosts):
        networks = _networks(private_hosts)
        if not all(_is_within(address, networks) or is_public(address) for address in addresses):
            raise _refusal(host)
    return addresses


def _refusal(host: str) -> PinakesError:
    hint = "give a link that anyone on the internet can open, or have the host allowed by fetch_private_hosts"
    return bad_request("url", f"{host} has no public address; {hint}")


def is_public(address: str) -> bool:
    """Whether an address belongs to the internet at large."""
    ip = _plain(address)
    if isinstance(ip, IPv6Address) and ip not in _UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NEVER)


def _plain(address: str) -> Address:
    """The address that packets will carry in the end."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(ip.packed[-4:])
    return ip.ipv4_mapped or ip


def _networks(private_hosts: tuple[str, ...]) -> list[Network]:
    networks = []
    for name in private_hosts:
        try:
            networks.append(ipaddress.ip_network(name, strict=False))
        except ValueError:
            continue  # a host name
    return networks


def _is_within(address: str, networks: list[Network]) -> bool:
    return any(_plain(address) in network for network in networks)
