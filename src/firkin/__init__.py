"""firkin: OCI containers that each run in their own small virtual machine, without root or a root daemon.

    import firkin

    print(firkin.run("debian", ["cat", "/etc/os-release"], text=True).stdout)

    with firkin.Engine() as engine, engine.run("debian", ["sleep", "inf"]) as box:
        print(box.exec(["id"]).output(text=True).stdout)

Everything public is in `__all__`; docs/reference/api.md tells what each promises. Importing costs nothing:
a name is loaded when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firkin.api.async_container import AsyncContainer, AsyncSnapshot
    from firkin.api.async_engine import AsyncEngine
    from firkin.api.async_networks import AsyncNetworks
    from firkin.api.async_pod import AsyncPod
    from firkin.api.async_pool import AsyncPool
    from firkin.api.async_process import AsyncProcess
    from firkin.api.async_sockets import AsyncConnection, AsyncListener
    from firkin.api.async_volumes import AsyncVolumes
    from firkin.api.container import Container, Snapshot
    from firkin.api.doctor import diagnose, doctor
    from firkin.api.engine import Engine, run
    from firkin.api.networks import Networks
    from firkin.api.pod import Pod
    from firkin.api.pool import Pool
    from firkin.api.process import Process
    from firkin.api.sockets import Connection, Listener
    from firkin.api.volumes import Volumes
    from firkin.engine.stdio_words import DEVNULL, PIPE, STDOUT
    from firkin.errors import (
        AddressInUse,
        AgentError,
        AuthenticationFailed,
        BootFailed,
        CommandFailed,
        CommandNotExecutable,
        CommandNotFound,
        Conflict,
        ContainerNotFound,
        Corrupt,
        DigestMismatch,
        FirkinError,
        HostUnsupported,
        ImageNotFound,
        IntegrityError,
        InUse,
        MachineDied,
        MachineError,
        MemoryFull,
        Misfit,
        NameInUse,
        NetworkNotFound,
        NotFound,
        NotListening,
        OutcomeUnknown,
        PlatformNotFound,
        PodNotFound,
        PoolEmpty,
        PortInUse,
        ProcessError,
        ProtocolError,
        ReferenceSyntaxError,
        RegistryError,
        RegistryUnreachable,
        SnapshotNotFound,
        StorageFull,
        Timeout,
        UnsupportedMediaType,
        Untrusted,
        UsageError,
        VolumeNotFound,
        WrongState,
    )
    from firkin.faults.fault import Finding
    from firkin.network.spec import HostEntry
    from firkin.oci.image import Image
    from firkin.pool.stats import PoolStats
    from firkin.process.output import Output
    from firkin.process.spec import ExitStatus, TerminalSize
    from firkin.settings import Settings
    from firkin.version import __version__

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "AddressInUse",
    "AgentError",
    "AsyncConnection",
    "AsyncContainer",
    "AsyncEngine",
    "AsyncListener",
    "AsyncNetworks",
    "AsyncPod",
    "AsyncPool",
    "AsyncProcess",
    "AsyncSnapshot",
    "AsyncVolumes",
    "AuthenticationFailed",
    "BootFailed",
    "CommandFailed",
    "CommandNotExecutable",
    "CommandNotFound",
    "Conflict",
    "Connection",
    "Container",
    "ContainerNotFound",
    "Corrupt",
    "DigestMismatch",
    "Engine",
    "ExitStatus",
    "Finding",
    "FirkinError",
    "HostEntry",
    "HostUnsupported",
    "Image",
    "ImageNotFound",
    "InUse",
    "IntegrityError",
    "Listener",
    "MachineDied",
    "MachineError",
    "MemoryFull",
    "Misfit",
    "NameInUse",
    "NetworkNotFound",
    "Networks",
    "NotFound",
    "NotListening",
    "OutcomeUnknown",
    "Output",
    "PlatformNotFound",
    "Pod",
    "PodNotFound",
    "Pool",
    "PoolEmpty",
    "PoolStats",
    "PortInUse",
    "Process",
    "ProcessError",
    "ProtocolError",
    "ReferenceSyntaxError",
    "RegistryError",
    "RegistryUnreachable",
    "Settings",
    "Snapshot",
    "SnapshotNotFound",
    "StorageFull",
    "TerminalSize",
    "Timeout",
    "UnsupportedMediaType",
    "Untrusted",
    "UsageError",
    "VolumeNotFound",
    "Volumes",
    "WrongState",
    "__version__",
    "diagnose",
    "doctor",
    "run",
]

_HOMES = {
    "DEVNULL": "engine.stdio_words",
    "PIPE": "engine.stdio_words",
    "STDOUT": "engine.stdio_words",
    "AsyncConnection": "api.async_sockets",
    "AsyncContainer": "api.async_container",
    "AsyncListener": "api.async_sockets",
    "AsyncEngine": "api.async_engine",
    "AsyncNetworks": "api.async_networks",
    "AsyncPod": "api.async_pod",
    "AsyncPool": "api.async_pool",
    "AsyncProcess": "api.async_process",
    "AsyncSnapshot": "api.async_container",
    "AsyncVolumes": "api.async_volumes",
    "Connection": "api.sockets",
    "Container": "api.container",
    "Listener": "api.sockets",
    "Engine": "api.engine",
    "Networks": "api.networks",
    "Volumes": "api.volumes",
    "run": "api.engine",
    "doctor": "api.doctor",
    "diagnose": "api.doctor",
    "Finding": "faults.fault",
    "Pod": "api.pod",
    "Pool": "api.pool",
    "PoolStats": "pool.stats",
    "Process": "api.process",
    "Snapshot": "api.container",
    "Image": "oci.image",
    "Output": "process.output",
    "ExitStatus": "process.spec",
    "HostEntry": "network.spec",
    "TerminalSize": "process.spec",
    "Settings": "settings",
    "__version__": "version",
}
"""Where each name lives; every other one of `__all__` is an error's."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'firkin' has no attribute {name!r}")
    value = getattr(import_module(f"firkin.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
