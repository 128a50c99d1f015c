"""`--timing`: where the time of a run went, as bars in the terminal.

    0.22 s to the first byte, 0.25 s in all
    command line      ████████████                                      0.05 s
    VMM start                     ███                        at 0.05 s  0.02 s
    fork                             █████████████████       at 0.08 s  0.12 s
    first byte                                          |    at 0.22 s

The picture is plain text of our own: rich would cost more time than many of the stages take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firkin.cli.report import printable
from firkin.cli.spans import Recorder, spans

FIRST_BYTE = "output.first_byte"
COLD = "machine.cold"
_LABELS = {
    "pull": "pull",
    "rootfs": "rootfs",
    "machine.start": "VMM start",
    "template.make": "template made",
    "machine.restore": "fork",
    "machine.kernel": "kernel",
    "machine.agent": "agent",
    "container.start": "container start",
}
"""Stages that are drawn; others are in the trace."""
_LEAST_BAR = 20


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of the picture, in nanoseconds from the start; an end of None is a moment."""

    label: str
    start_ns: int
    end_ns: int | None


def bars(recorder: Recorder, end_ns: int) -> list[Bar]:
    """What to draw of `recorder`: the command line's own start, the stages, and the first byte of output."""
    zero = recorder.start_ns
    found = [
        Bar(_LABELS[span.name], span.start_ns - zero, span.end_ns - zero)
        for span in spans(recorder.events)
        if span.name in _LABELS
    ]
    begun = min((bar.start_ns for bar in found), default=end_ns - zero)
    first = [event.time_ns - zero for event in recorder.events if event.name == FIRST_BYTE][:1]
    return [Bar("command line", 0, begun), *found, *(Bar("first byte", at, None) for at in first)]


def picture(drawn: Sequence[Bar], total_ns: int, *, columns: int, unicode: bool = True) -> str:
    """`drawn` as lines of at most `columns` characters (never fewer than a readable least)."""
    total = max(total_ns, 1)
    labels = [printable(bar.label)[:24] for bar in drawn]
    width = max(map(len, labels), default=0)
    room = max(_LEAST_BAR, columns - width - 2 - 2 - 21)
    lines = [_title(drawn, total_ns)]
    for label, bar in zip(labels, drawn, strict=True):
        drawing = _drawing(bar, total, room, unicode=unicode)
        at = f"at {bar.start_ns / 1e9:.2f} s" if bar.start_ns else ""
        took = "" if bar.end_ns is None else f"{(bar.end_ns - bar.start_ns) / 1e9:.3f} s"
        lines.append(f"  {label:<{width}}  {drawing:<{room}} {at:>10} {took:>8}".rstrip())
    return "\n".join(lines) + "\n"


def _title(drawn: Sequence[Bar], total_ns: int) -> str:
    first = next((bar.start_ns for bar in drawn if bar.end_ns is None), None)
    whole = f"{total_ns / 1e9:.2f} s in all"
    return whole if first is None else f"{first / 1e9:.2f} s to the first byte, {whole}"


def _drawing(bar: Bar, total_ns: int, room: int, *, unicode: bool) -> str:
    start = min(bar.start_ns * room // total_ns, room - 1)
    if bar.end_ns is None:
        return " " * start + "|"
    cells = (bar.end_ns - bar.start_ns) * room / total_ns
    full, thin = ("█", "▏") if unicode else ("#", ".")
    length = min(round(cells), room - start)
    return " " * start + (full * length if length else thin)


def remarks(recorder: Recorder) -> list[str]:
    """What the picture does not show: why a machine was booted, and not forked from a template."""
    cold = (event for event in recorder.events if event.name == COLD)
    return [f"booted a kernel, since {printable(str(event.fields.get('reason', '')))}" for event in cold]


def print_timeline(recorder: Recorder) -> None:
    """The picture of `recorder` until now, on standard error."""
    import shutil
    import sys
    import time

    now_ns = time.monotonic_ns()
    unicode = (sys.stderr.encoding or "").lower().replace("-", "") == "utf8"
    columns = min(shutil.get_terminal_size().columns, 120)
    drawn = bars(recorder, now_ns)
    sys.stderr.write(picture(drawn, now_ns - recorder.start_ns, columns=columns, unicode=unicode))
    sys.stderr.write("".join(f"  {line}\n" for line in remarks(recorder)))
    sys.stderr.flush()
