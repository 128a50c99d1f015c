"""Names of hosts and domains, by the rules of RFC 1123 (2.1) and the kernel's 64 bytes (uname(2))."""

from __future__ import annotations

import re

MAX_HOSTNAME_CHARS = 64
MAX_DOMAIN_CHARS = 253
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_LOOSE = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
HOSTNAME_RULE = "labels of letters, digits and inner -, at most 63 each and 64 in all, with . between them"
DOMAIN_RULE = "labels of letters, digits, _ and inner -, at most 63 each and 253 in all, with . between them"


def is_hostname(text: str) -> bool:
    """Whether a machine may call itself `text`."""
    return len(text) <= MAX_HOSTNAME_CHARS and all(map(_LABEL.fullmatch, text.split(".")))


def is_domain(text: str) -> bool:
    """Whether `text` may be asked for as a name. Names of services have underscores, too (RFC 2782)."""
    return len(text) <= MAX_DOMAIN_CHARS and all(map(_LOOSE.fullmatch, text.split(".")))
