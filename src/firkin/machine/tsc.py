"""How fast this host's time stamp counter runs: a guest under TCG sees it and cannot measure it
(docs/design/boot.md).

The rule: measured once a boot of the host, over a twentieth of a second; then it is a file in the cache.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from firkin.machine.artifacts import artifact

_READ_TSC = bytes.fromhex("0fae e8 0f31 48c1e220 4809d0 c3")
"""lfence; rdtsc; shl rdx, 32; or rax, rdx; ret"""
_MEASURE_S = 0.05


def tsc_khz(cache_dir: Path, host_boot_id: str) -> int:
    """kHz of the time stamp counter; 0 where it cannot be known (the guest then calibrates by itself).

    Raises OSError where the cache cannot be written.
    """
    if os.uname().machine != "x86_64":
        return 0
    path = artifact(cache_dir, "tsc", (host_boot_id,), lambda: str(_measure()).encode())
    text = path.read_text()
    return int(text) if text.isdecimal() else 0


def _measure() -> int:
    import ctypes
    import mmap

    try:
        code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return _from_cpuinfo()  # SELinux and hardened kernels forbid pages that are writable and executable
    code.write(_READ_TSC)
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    read: Callable[[], int] = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)
    begin_ns, begin = time.monotonic_ns(), read()
    time.sleep(_MEASURE_S)
    end_ns, end = time.monotonic_ns(), read()
    return round((end - begin) * 1_000_000 / (end_ns - begin_ns))


def _from_cpuinfo() -> int:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("cpu MHz"):
            return round(float(line.partition(":")[2]) * 1000)
    return 0
