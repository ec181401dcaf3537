import ipaddress

import pytest
from hypothesis import given, strategies as st
from pytest_django import Settings

from accounts.networks import LONGEST_ADDRESS, UNKNOWN, client_ip, rate_key, within

PROXIES = ["10.0.0.0/8", "2001:db8:ffff::/48"]

proxies = st.one_of([st.ip_addresses(network=network) for network in PROXIES]).map(str)
strangers = st.ip_addresses().filter(lambda ip: not _is_proxy(ip) and not _is_mapped(ip)).map(str)
headers = st.one_of(
    st.text(max_size=80), st.lists(st.one_of(proxies, strangers, st.text(max_size=12)), max_size=6).map(",".join)
)


def _is_proxy(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return any(ip in ipaddress.ip_network(network) for network in PROXIES)


def _is_mapped(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None


@pytest.fixture(autouse=True)
def _trusted_proxies(settings: Settings) -> None:
    settings.GATEWAY_TRUSTED_PROXIES = PROXIES


# client_ip ---------------------------------------------------------------------------------------------------------


@given(remote=strangers, header=st.none() | headers)
def test_a_stranger_is_whoever_connected_whatever_the_header_says(remote: str, header: str | None):
    assert client_ip(remote, header) == remote


@given(invented=headers, client=strangers, chain=st.lists(proxies, min_size=1, max_size=5))
def test_behind_trusted_proxies_the_caller_is_whom_the_outermost_of_them_saw(
    invented: str, client: str, chain: list[str]
):
    """Each proxy appends whom it was called by; the caller may have written anything before that."""
    header = ", ".join([invented, client, *chain[:-1]])

    assert client_ip(chain[-1], header) == client


@given(remote=proxies, header=headers)
def test_the_answer_is_always_an_address(remote: str, header: str):
    ipaddress.ip_address(client_ip(remote, header))


@given(chain=st.lists(proxies, min_size=2, max_size=5))
def test_a_caller_inside_the_trusted_networks_is_the_first_entry(chain: list[str]):
    assert client_ip(chain[-1], ",".join(chain[:-1])) == chain[0]


@pytest.mark.parametrize("entry", ["", " ", "unknown", "_hidden", "192.0.2.1.5", "010.0.0.1", "[", "9" * 5000, "a:b"])
def test_an_entry_that_is_no_address_ends_the_walk_at_the_proxy_that_reported_it(entry: str):
    assert client_ip("10.0.0.1", f"198.51.100.7, {entry}, 10.0.0.2") == "10.0.0.2"


@pytest.mark.parametrize(
    "entry, ip",
    [
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
    ],
)
def test_entries_are_understood_in_every_notation_that_proxies_use(entry: str, ip: str):
    assert client_ip("10.0.0.1", entry) == ip


def test_a_proxy_on_a_dual_stack_socket_is_trusted():
    assert client_ip("::ffff:10.0.0.1", "192.0.2.1") == "192.0.2.1"


def test_nobody_is_trusted_unless_named(settings: Settings):
    settings.GATEWAY_TRUSTED_PROXIES = []

    assert client_ip("127.0.0.1", "192.0.2.1") == "127.0.0.1"


def test_a_connection_without_an_address_stays_without_one():
    assert client_ip("", "192.0.2.1") == ""


# rate_key ----------------------------------------------------------------------------------------------------------


@given(ip=st.ip_addresses(v=4).map(str))
def test_an_ipv4_address_counts_by_itself_in_both_notations(ip: str):
    assert rate_key(ip) == rate_key(f"::ffff:{ip}") == ip


@given(subscriber=st.integers(1, 2**64 - 1), host=st.integers(0, 2**64 - 1), other=st.integers(0, 2**64 - 1))
def test_ipv6_addresses_count_together_exactly_when_they_share_64_bits(subscriber: int, host: int, other: int):
    ip, housemate, neighbour = (
        str(ipaddress.IPv6Address(number << 64 | rest))
        for number, rest in ((subscriber, host), (subscriber, other), (subscriber ^ 2**63, host))
    )

    assert rate_key(ip) == rate_key(housemate)
    assert rate_key(ip) != rate_key(neighbour)


@given(text=st.text())
def test_what_is_no_address_is_counted_together(text: str):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        assert rate_key(text) == UNKNOWN


# within ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ip, networks, expected",
    [
        ("10.1.2.3", ["10.0.0.0/8"], True),
        ("11.1.2.3", ["10.0.0.0/8"], False),
        ("11.1.2.3", ["10.0.0.0/8", "11.1.2.3"], True),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"], True),
        ("2001:db8::1", ["2001:db8::/32"], True),
        ("2001:db8::1", ["10.0.0.0/8"], False),
        ("10.1.2.3", [], False),
        ("", ["0.0.0.0/0"], False),
        ("nonsense", ["0.0.0.0/0"], False),
        ("10.1.2.3", ["nonsense"], False),
        ("10.1.2.3", ["nonsense", "10.0.0.0/8"], True),
    ],
)
def test_an_address_is_inside_or_not(ip: str, networks: list[str], expected: bool):
    assert within(ip, networks) is expected


def test_the_longest_way_to_write_an_address_is_short_enough_to_be_read():
    longest = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"

    assert len(longest) <= LONGEST_ADDRESS
    assert within(longest, ["::/0"])
