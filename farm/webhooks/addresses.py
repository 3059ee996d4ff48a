"""The addresses that a user's URL may lead the farm to: public ones, and the networks that its operator allowed.

The API checks when a job is submitted, which catches addresses written out in the URL. The worker checks again each
address that a name resolves to, because the farm connects to an address and not to a name.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from farm.errors import BadInput, Misconfigured

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Networks that `ipaddress` calls global in some or all releases of Python 3.11 and later, outside the public internet.
_NOT_PUBLIC: tuple[Network, ...] = tuple(
    ip_network(name)
    for name in (
        "192.0.0.0/24",  # IETF protocol assignments; a cloud keeps its metadata at 192.0.0.192
        "192.88.99.0/24",  # 6to4 relays
        "168.63.129.16/32",  # Azure's platform services, which answer only inside a virtual machine
        "2002::/16",  # 6to4: carries any IPv4 address, private ones too
        "2001::/23",  # Teredo and other protocol assignments
        "3fff::/20",  # documentation
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # all of IPv6 that IANA has given out as public
_MAPPED = IPv6Network("::ffff:0:0/96")  # IPv4 written as IPv6, RFC 4291
_NAT64 = IPv6Network("64:ff9b::/96")  # IPv4 as a network without IPv4 sees it, RFC 6052
_NAME = re.compile(r"[a-z0-9._-]+")


def allowed_networks(names: Iterable[str], setting: str = "FARM_WEBHOOK_ALLOW") -> tuple[Network, ...]:
    """The networks that a setting lists. Raises Misconfigured when one is malformed."""
    networks = []
    for name in names:
        try:
            networks.append(ip_network(name))
        except ValueError as error:
            raise Misconfigured(
                f"{setting}: {error}; write networks like 10.0.0.0/8 or fd00::/8, separated by commas"
            ) from None
    return tuple(networks)


def forbidden(address: Address, allow: Sequence[Network] = ()) -> str | None:
    """The kind of a forbidden address ("a loopback address"); None if the farm may send to it. An IPv4 address inside
    an IPv6 one is judged as the IPv4 address."""
    if any(address in network for network in allow):
        return None
    if isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64):
        return forbidden(IPv4Address(int(address) & 0xFFFF_FFFF), allow)
    if address.is_unspecified:
        return "an unspecified address"
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    if not address.is_global or any(address in network for network in _NOT_PUBLIC):
        return "a private or reserved address"
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return "a private or reserved address"
    return None


def check_url(url: str, allow: Sequence[Network] = (), *, pointer: str = "/webhook/url") -> None:
    """Raises BadInput for a URL that no webhook may go to. Does not resolve names."""

    def refused(why: str) -> BadInput:
        return BadInput(f"webhooks can't be sent to this URL: {why}", pointer=pointer)

    try:
        # The sender connects by the same parser: two parsers may disagree where a host ends, which opens a way in.
        parts = httpx.URL(url)
        host = parts.raw_host.decode("ascii").removesuffix(".")
        host.encode("idna")
    except (httpx.InvalidURL, ValueError) as error:
        raise refused(f"it is malformed ({error})") from None
    if parts.scheme not in ("http", "https"):
        raise refused("it must begin with https:// or http://")
    if parts.userinfo:
        raise refused("it must not contain a user name or password; put a token into its path or query instead")
    if parts.port is not None and not 0 < parts.port < 65536:
        raise refused(f"there is no port {parts.port}")
    address = _written_out(host)
    if address is None and not _NAME.fullmatch(host):
        raise refused("it has no host" if not host else f"{host!r} is not a host name")
    if address is not None and (kind := forbidden(address, allow)):
        raise refused(
            f"{host} is {kind}; use a public address, or have the farm's operator add its network to FARM_WEBHOOK_ALLOW"
        )


def _written_out(host: str) -> Address | None:
    """The address that a host spells out, None for a name. All notations of the C library count: 127.0.0.1, 127.1,
    0x7f.1, 017700000001, 2130706433, ::1, localhost (RFC 6761)."""
    if host == "localhost" or host.endswith(".localhost"):
        return IPv4Address("127.0.0.1")
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host)) if _NAME.fullmatch(host) else None
    except OSError:
        return None
