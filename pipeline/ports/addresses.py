"""What a URL points at: its origin, whether that is this machine or a private network, and the proxy on the way."""

import ipaddress
import re
import urllib.request
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_OPEN_IPV6 = ipaddress.IPv6Network("2000::/3")
"""All that IANA has given out for the open internet."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Scheme, host and port of an http(s) URL, host in lower case and without brackets."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Self:
        """Read the origin off a URL.

        Raises:
            ValueError: no http(s) URL, without a host, or with a user name or password in it. The text names no part of
                the URL, which may be a secret.
        """
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
        except ValueError:
            raise ValueError("not a URL") from None
        if scheme not in _DEFAULT_PORTS or not host:
            raise ValueError("not an http:// or https:// URL with a host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("a URL with a user name or password in it")
        return cls(scheme=scheme, host=host.rstrip("."), port=port or _DEFAULT_PORTS[scheme])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def literal(host: str) -> Address | None:
    """The address that a host is when it is written as one; IPv4 inside IPv6 is unwrapped."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_disguised(host: str) -> bool:
    """Whether a host is an IPv4 address in a spelling of old (2130706433, 0x7f.1, 0177.0.0.1, 127.1), which a resolver
    or a proxy would take. No name ends in a number (WHATWG URL, 3.5).
    """
    last = host.rpartition(".")[2]
    return literal(host) is None and re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last, re.IGNORECASE) is not None


def is_loopback(host: str) -> bool:
    """127.0.0.0/8, ::1 or the name ``localhost``."""
    address = literal(host)
    return host == "localhost" if address is None else address.is_loopback


def is_public(address: Address) -> bool:
    """Whether the address is of the open internet: neither loopback nor private, link-local, shared (CGNAT), reserved,
    multicast; and if it is an IPv6 way to an IPv4 address (mapped, 6to4, NAT64), whether that one is.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = _carried(address)
        if inner is not None:
            return is_public(inner)
        if address not in _OPEN_IPV6 or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def proxy_for(url: str) -> str | None:
    """The proxy that the environment (or the system) prescribes for a URL; loopback hosts are never proxied.

    HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY in either case, as ``urllib`` reads them.
    """
    origin = Origin.of(url)
    if is_loopback(origin.host) or urllib.request.proxy_bypass(f"{origin.host}:{origin.port}"):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(origin.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def proxy_hosts() -> frozenset[str]:
    """The hosts of all proxies that may be used."""
    named = (proxy if "://" in proxy else f"http://{proxy}" for proxy in urllib.request.getproxies().values())
    return frozenset(host for proxy in named if (host := urlsplit(proxy).hostname))
