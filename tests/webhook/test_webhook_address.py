"""The URLs and addresses that a webhook may go to."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from farm.errors import BadInput, Misconfigured
from farm.webhooks.addresses import allowed_networks, check_url, forbidden

# fmt: off
PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1",
    "2002:7f00:1::", "2002:808:808::", "3fff::1", "4000::1", "5f00::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
]
# fmt: on
PUBLIC = [
    "1.1.1.1",
    "93.184.215.14",
    "100.128.0.1",
    "172.32.0.1",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
    "2606:4700::1111",
    "2a00::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_forbidden(address: str) -> None:
    assert forbidden(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert forbidden(ip_address(address)) is None


def test_an_allowed_network_is_allowed_and_its_neighbours_are_not() -> None:
    allow = allowed_networks(["10.0.0.0/8", "fd00::/8"])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd00::1"):
        assert forbidden(ip_address(address), allow) is None
    for address in ("127.0.0.1", "172.16.0.1", "::1", "fc00::1"):
        assert forbidden(ip_address(address), allow)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_the_same_inside_an_ipv6_one(address: IPv4Address) -> None:
    verdict = forbidden(address)
    assert forbidden(IPv6Address(f"::ffff:{address}")) == verdict
    assert forbidden(IPv6Address(f"64:ff9b::{address}")) == verdict


@pytest.mark.parametrize("name", ["10.0.0.1/8", "everything", "10.0.0.0/33", "::1/129"])
def test_a_malformed_network_is_named_in_the_error(name: str) -> None:
    with pytest.raises(Misconfigured, match=r"FARM_WEBHOOK_ALLOW.*10\.0\.0\.0/8"):
        allowed_networks([name])


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/path?token=1",
        "http://hooks.example.com:8080/",
        "https://1.1.1.1/",
        "https://[2606:4700::1111]/",
        "https://münchen.example/",
        "https://my_service/",
        "https://hooks.example.com./",
    ],
)
def test_a_public_url_is_accepted(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///etc/passwd", "https://"),
        ("ftp://hooks.example.com/", "https://"),
        ("gopher://hooks.example.com/", "https://"),
        ("//hooks.example.com/", "https://"),
        ("hooks.example.com", "https://"),
        ("", "https://"),
        ("http://", "no host"),
        ("http:///path", "no host"),
        ("http:\\\\127.0.0.1\\", "no host"),
        ("http://user:pass@hooks.example.com/", "user name"),
        ("http://hooks.example.com\\@169.254.169.254/", "user name"),
        ("http://hooks.example.com:0/", "port 0"),
        ("http://hooks.example.com:65536/", "port 65536"),
        ("http://hooks.example.com:http/", "malformed"),
        ("http://hooks..example.com/", "malformed"),
        (f"http://{'a' * 64}.example.com/", "malformed"),
        ("http://[::1/", "malformed"),
        ("http://hooks.example.com/\x00", "malformed"),
        ("http://１２７.0.0.1/", "malformed"),
        ("http://%31%32%37.0.0.1/", "not a host name"),
        ("http://127.0.0.1 /", "not a host name"),
        ("http://127.0.0.1./", "a loopback address"),
        ("http://localhost/", "a loopback address"),
        ("http://LOCALHOST./", "a loopback address"),
        ("http://farm.localhost/", "a loopback address"),
        ("http://169.254.169.254/latest/meta-data", "a link-local address"),
        ("http://[fe80::1%25eth0]/", "a link-local address"),
        ("http://[::ffff:169.254.169.254]/", "a link-local address"),
        ("http://[::]/", "an unspecified address"),
        ("http://0/", "an unspecified address"),
        ("http://2130706433/", "a loopback address"),
        ("http://0x7f.1/", "a loopback address"),
        ("http://0X7F000001/", "a loopback address"),
        ("http://017700000001/", "a loopback address"),
        ("http://127.1/", "a loopback address"),
        ("http://10.1.2.3:8080/", "a private or reserved address"),
        ("http://100.64.1.1/", "a private or reserved address"),
        ("http://224.0.0.1/", "a multicast address"),
    ],
)
def test_a_forbidden_url_is_refused_with_its_field_and_the_reason(url: str, why: str) -> None:
    with pytest.raises(BadInput) as refusal:
        check_url(url)
    (field,) = refusal.value.fields
    assert field.pointer == "/webhook/url"
    assert why in field.message


@st.composite
def notations(draw: st.DrawFn) -> tuple[IPv4Address, str]:
    """An address, and a way to write it that the C library reads: one to four parts, each decimal, octal or hex."""
    address = draw(st.ip_addresses(v=4))
    assert isinstance(address, IPv4Address)
    octets = list(address.packed)
    count = draw(st.integers(1, 4))
    numbers = [*octets[: count - 1], int.from_bytes(address.packed[count - 1 :])]
    forms = st.sampled_from(["{:d}", "0{:o}", "0x{:x}", "0X{:X}"])
    return address, ".".join(draw(forms).format(number) for number in numbers)


@given(notations())
def test_an_address_is_recognised_in_every_notation(written: tuple[IPv4Address, str]) -> None:
    address, host = written
    assume(forbidden(address))
    with pytest.raises(BadInput):
        check_url(f"http://{host}/")


@given(st.text())
def test_any_text_as_a_url_is_accepted_or_raises_bad_input(text: str) -> None:
    for url in (text, f"http://{text}", f"http://h:{text}/", f"http://[{text}]/"):
        with suppress(BadInput):
            check_url(url)
