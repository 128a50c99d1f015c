"""Detach keys: what to press to leave a container running, `ctrl-p,ctrl-q` unless told otherwise.

While part of the sequence was typed it is held back; what follows shows whether it goes to the process after
all. So the process gets every byte but those of a whole sequence.
"""

from __future__ import annotations

from firkin.errors import UsageError

_NAMED = {"[": 27, "\\": 28, "]": 29, "^": 30, "_": 31, "@": 0}
_HINT = "write keys with commas between them, such as ctrl-p,ctrl-q or ctrl-],d"


def parse_keys(text: str) -> bytes:
    """The bytes of `text`: letters, or ctrl- and one of a-z @ [ \\ ] ^ _; "" is none. UsageError."""
    return bytes(_key(word, text) for word in text.split(",")) if text else b""


def _key(word: str, text: str) -> int:
    if len(word) == 1 and word.isascii():
        return ord(word)
    prefix, dash, letter = word.lower().partition("-")
    if prefix == "ctrl" and dash and len(letter) == 1:
        if letter in _NAMED:
            return _NAMED[letter]
        if "a" <= letter <= "z":
            return ord(letter) - 96
    raise UsageError(f"detach keys {text!r}: {word!r} is not a key", hint=_HINT)


class DetachKeys:
    """Finds the sequence in what is typed, however it is cut into pieces."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What to pass on of `data`, and whether the sequence was completed; what follows it is dropped."""
        if not self._keys:
            return data, False
        out = bytearray()
        for byte in data:
            while self._matched and byte != self._keys[self._matched]:
                out += self._shorten()
            if byte == self._keys[self._matched]:
                self._matched += 1
            else:
                out.append(byte)
            if self._matched == len(self._keys):
                self._matched = 0
                return bytes(out), True
        return bytes(out), False

    def _shorten(self) -> bytes:
        """Fall back to the longest shorter match; what that gives up goes to the process."""
        held = self._keys[: self._matched]
        for length in range(self._matched - 1, -1, -1):
            if held.endswith(self._keys[:length]):
                self._matched = length
                return held[: len(held) - length]
        raise AssertionError("the empty match always fits")
