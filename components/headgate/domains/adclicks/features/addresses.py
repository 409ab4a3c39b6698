"""The entity that a click's address counts for: one form for counters, features, lookups and pseudonyms."""

import ipaddress

import polars as pl


def ip_key(ip: str) -> str:
    """The entity an address counts for: IPv4 as it is, IPv6 by its /64, anything else as an opaque token."""
    if ":" not in ip:
        return ip
    try:
        address = ipaddress.IPv6Address(ip)
    except ValueError:
        return ip
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64)) + "/64"


def ip_keys(ips: pl.Series) -> pl.Series:
    """`ip_key` of a column, worked out once for each distinct IPv6 address."""
    v6 = ips.filter(ips.str.contains(":", literal=True)).unique()
    if not len(v6):
        return ips
    keys = pl.Series([ip_key(ip) for ip in v6], dtype=pl.String)
    return ips.replace_strict(v6, keys, default=ips)
