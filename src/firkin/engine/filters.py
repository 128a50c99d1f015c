"""Filters: a policy's seccomp profile as the program that the agent enters, compiled once and kept.

A compiled filter is named by all that it was made of: the profile, the capabilities that decide its rules,
the processor, and the state of this host's libraries, since a newer libseccomp knows more system calls.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from firkin.container.spec import ContainerSpec
from firkin.machine.artifacts import artifact, stamp
from firkin.process import capabilities
from firkin.process.policy import ProcessPolicy
from firkin.settings import Settings
from firkin.wire.privileges import Filter

_VERSION = "2"
_DEFAULT = Path(__file__).parents[1] / "process" / "data" / "seccomp.json"
_LIBRARIES = Path("/etc/ld.so.cache")  # changes with every library
_INSTRUCTION_BYTES, _MOST_INSTRUCTIONS = 8, 4096  # BPF_MAXINSNS
_FLAG_BYTES = 4


def filter_for(spec: ContainerSpec, policy: ProcessPolicy, settings: Settings) -> Filter | None:
    """The filter of a process of the container of `spec` with that policy. Raises as filter_of()."""
    kernel = os.uname().release if spec.isolation == "namespace" else ""
    return filter_of(policy, spec.knobs.chosen(settings), kernel)


def filter_of(policy: ProcessPolicy, settings: Settings, kernel: str = "") -> Filter | None:
    """The filter of a process with that policy, for the kernel of that version, or the one of machines.

    Raises UsageError where its profile cannot be compiled, HostUnsupported without libseccomp.
    """
    if policy.seccomp.kind == "unconfined":
        return None
    text = _text(policy)
    return _filter(
        text, policy.capabilities.bounding, kernel or _kernel(text, settings), settings.paths.cache_dir
    )


def profile_of(policy: ProcessPolicy, settings: Settings) -> dict[str, Any] | None:
    """What filter_of() compiles, as `linux.seccomp` of the OCI runtime spec: nothing in it is conditional."""
    if policy.seccomp.kind == "unconfined":
        return None
    from firkin.oci.seccomp import as_runtime_spec, parse

    text = _text(policy)
    names = capabilities.names(policy.capabilities.bounding)
    return as_runtime_spec(parse(text), names, os.uname().machine, _kernel(text, settings))


def _text(policy: ProcessPolicy) -> str:
    return policy.seccomp.profile if policy.seccomp.kind == "profile" else _DEFAULT.read_text()


@lru_cache(maxsize=64)
def _filter(text: str, bounding: int, kernel: str, cache_dir: Path) -> Filter:
    libraries = stamp(_LIBRARIES) if _LIBRARIES.exists() else ""
    inputs = (_VERSION, text, f"{bounding:x}", os.uname().machine, kernel, libraries)
    content = artifact(cache_dir, "seccomp", inputs, lambda: _compiled(text, bounding, kernel)).read_bytes()
    return Filter(flags=int.from_bytes(content[:_FLAG_BYTES], "little"), program=content[_FLAG_BYTES:])


def _compiled(text: str, bounding: int, kernel: str) -> bytes:
    """The flags, and the program behind them."""
    from firkin.errors import UsageError
    from firkin.linux.folding import folded
    from firkin.linux.libseccomp import compiled
    from firkin.oci.seccomp import chosen, parse

    profile = parse(text)
    left = chosen(profile, bounding=capabilities.names(bounding), machine=os.uname().machine, kernel=kernel)
    program = folded(compiled(left.default, left.architectures, left.rules))
    count = len(program) // _INSTRUCTION_BYTES
    if count > _MOST_INSTRUCTIONS:
        raise UsageError(
            f"seccomp: the profile makes a filter of {count} instructions, more than {_MOST_INSTRUCTIONS}",
            hint="name fewer architectures, or fewer rules with arguments",
        )
    return left.flags.to_bytes(_FLAG_BYTES, "little") + program


def _kernel(text: str, settings: Settings) -> str:
    """The version of the guest's kernel, where the profile asks for it."""
    if "minKernel" not in text:
        return ""
    from firkin.machine.kernel import choose_kernel

    return choose_kernel(settings).version
