"""Every error that firkin raises on purpose, in one hierarchy. Branches follow what a caller can do about it.

FirkinError                      exit 125 unless said otherwise; has .hint: what to do next
├── UsageError                   the call's words are wrong: change them (also a ValueError)
│   └── ReferenceSyntaxError     not an image reference
├── NotFound                     the named object is not here: name another or make it (also a LookupError)
│   ├── ImageNotFound            locally, or at the registry
│   ├── ContainerNotFound
│   ├── PodNotFound
│   ├── SnapshotNotFound
│   ├── VolumeNotFound
│   ├── NetworkNotFound
│   └── PlatformNotFound         the index has no manifest for the platform; says which exist
├── Conflict                     somebody else holds it: choose another name or port, or stop them
│   ├── NameInUse
│   ├── AddressInUse             on a private network
│   ├── PortInUse
│   ├── InUse                    an object that others stand on cannot be removed
│   ├── PoolEmpty                no machine of a pool is ready, and none is to be waited for
│   └── WrongState               the container's state does not allow it
├── RegistryError                it misbehaves or cannot be reached: try again, or ask its operator
│   ├── RegistryUnreachable
│   └── AuthenticationFailed     log in
├── IntegrityError               bytes are not what digest, size or format promised: nothing was kept
│   ├── DigestMismatch
│   ├── UnsupportedMediaType
│   └── Corrupt                  a record or archive of ours or theirs that cannot be read
├── Untrusted                    the policy does not let it in: have it signed, or change the policy
├── HostUnsupported              the host lacks something: install or permit it
│   ├── StorageFull
│   ├── MemoryFull               so many machines do not fit into this host's memory
│   └── Misfit                   what was saved cannot run here; names the part that differs
├── MachineError                 a machine did not do its part: see its console
│   ├── BootFailed               with the console's tail
│   └── MachineDied              it ended under a running container
├── ProcessError                 the command inside did not do what was asked of it
│   ├── CommandNotFound          exit 127
│   ├── CommandNotExecutable     exit 126
│   ├── NotListening             nobody takes connections there (also a ConnectionError)
│   └── CommandFailed            it ended, and check=True asked for 0; has .output
├── AgentError                   the guest agent refused a request, or broke the protocol
│   └── ProtocolError            a peer sent bytes that the wire does not allow: the connection is dropped
├── Timeout                      a wait passed its deadline; names the operation and the seconds
└── OutcomeUnknown               a request was sent and the reply lost: look before you retry
"""

from __future__ import annotations

from typing import Any


class FirkinError(Exception):
    """What failed, on which object (`str(error)`), and what to do next (`error.hint`, maybe empty)."""

    exit_status = 125

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(FirkinError, ValueError): ...


class ReferenceSyntaxError(UsageError): ...


class NotFound(FirkinError, LookupError): ...


class ImageNotFound(NotFound): ...


class ContainerNotFound(NotFound): ...


class PodNotFound(NotFound): ...


class SnapshotNotFound(NotFound): ...


class VolumeNotFound(NotFound): ...


class NetworkNotFound(NotFound): ...


class PlatformNotFound(NotFound): ...


class Conflict(FirkinError): ...


class NameInUse(Conflict): ...


class AddressInUse(Conflict): ...


class PortInUse(Conflict): ...


class InUse(Conflict): ...


class PoolEmpty(Conflict): ...


class WrongState(Conflict): ...


class RegistryError(FirkinError): ...


class RegistryUnreachable(RegistryError): ...


class AuthenticationFailed(RegistryError): ...


class IntegrityError(FirkinError): ...


class DigestMismatch(IntegrityError): ...


class UnsupportedMediaType(IntegrityError): ...


class Corrupt(IntegrityError): ...


class Untrusted(FirkinError): ...


class HostUnsupported(FirkinError): ...


class StorageFull(HostUnsupported): ...


class MemoryFull(HostUnsupported): ...


class Misfit(HostUnsupported): ...


class MachineError(FirkinError): ...


class BootFailed(MachineError):
    """The machine did not reach its agent. `console_tail` holds the last lines that the kernel printed;
    `passing` says what will be gone when it is tried again, "" where the same would happen.
    """

    def __init__(self, message: str, *, hint: str = "", console_tail: str = "", passing: str = "") -> None:
        super().__init__(message, hint=hint)
        self.console_tail = console_tail
        self.passing = passing


class MachineDied(MachineError):
    """It ended under a running container. `why` as of ExitStatus, "" where that is not known here."""

    why: str = ""


class ProcessError(FirkinError): ...


class CommandNotFound(ProcessError):
    exit_status = 127


class CommandNotExecutable(ProcessError):
    exit_status = 126


class NotListening(ProcessError, ConnectionError): ...


class CommandFailed(ProcessError):
    """It ended otherwise than with 0. `output` is what it said, `exit_status` what a shell reports."""

    def __init__(self, message: str, *, hint: str = "", output: Any, exit_status: int) -> None:
        super().__init__(message, hint=hint)
        self.output = output
        self.exit_status = exit_status


class AgentError(FirkinError): ...


class ProtocolError(AgentError): ...


class Timeout(FirkinError, TimeoutError): ...


class OutcomeUnknown(FirkinError): ...
