"""Words of a process, its arguments and variables, as values that JSON can hold: any bytes but NUL.

A word of UTF-8 is itself. Any other stands as a NUL, which no word holds, and its bytes as latin-1, so that
it cannot be taken for another word. Only those who show words, or hand them on, need to know.
"""

from __future__ import annotations

import os


def kept(word: str | bytes) -> str:
    """`word`, which may be bytes, or a str with the surrogates of os.fsdecode, as a value."""
    try:
        return word.decode() if isinstance(word, bytes) else word.encode().decode()
    except UnicodeError:
        return "\0" + os.fsencode(word).decode("latin-1")


def raw(word: str) -> bytes:
    """The bytes of a value."""
    return word[1:].encode("latin-1") if word.startswith("\0") else word.encode()


def shown(word: str) -> str:
    """A value as people may see it: what is not UTF-8 as \\xff."""
    return raw(word).decode(errors="backslashreplace")


def is_word(word: str | bytes) -> bool:
    """Whether `word`, before it was kept, has bytes, and no NUL among them."""
    try:
        return b"\0" not in (word if isinstance(word, bytes) else word.encode(errors="surrogateescape"))
    except UnicodeEncodeError:
        return False


def name(word: str) -> bytes:
    """Of the value `NAME=text` the NAME."""
    return raw(word).partition(b"=")[0]
