"""`$(NAME)` in commands, arguments and variables: what Kubernetes replaces, and how to keep it from that.

$(NAME)  the variable, where there is one; else it stays as it is
$$       $
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_PART = re.compile(r"\$(\$|\(([^)]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`text` with its variables replaced."""

    def replaced(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else variables.get(match[2], match[0])

    return _PART.sub(replaced, text)


def escape(text: str) -> str:
    """What expand() makes `text` of, whatever variables there are."""
    return re.sub(r"\$(?=[$(])", "$$", text)
