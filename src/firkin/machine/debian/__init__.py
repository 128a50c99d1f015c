"""A client of Debian archives, small enough to fetch one kernel without root (sources.list(5), deb822(5),
deb(5)).

The rule: nothing is kept that a key which apt trusts on this host did not sign: Release by signature, the
index by Release's hash, the package by the index's hash.
"""
