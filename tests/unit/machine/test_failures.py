"""Which failures of a start are tried again: each class by what QEMU, the kernel or this host says."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from firkin.errors import BootFailed, HostUnsupported
from firkin.machine.begin import host_errors
from firkin.machine.failures import passing
from firkin.machine.qemu.exit import boot_failure, explain

PANIC = "[ 0.5] Kernel panic - not syncing: VFS: Unable to mount root fs"


@pytest.mark.parametrize(
    ("status", "complaint"),
    [
        (-signal.SIGKILL, ""),
        (-signal.SIGTERM, ""),
        (1, "qemu: cannot set up guest memory 'ram': Cannot allocate memory"),
        (1, "qemu: failed to initialize KVM: Device or resource busy"),
        (1, "qemu: qemu_thread_create: Resource temporarily unavailable"),
    ],
)
def test_what_others_have_for_now_is_tried_again(status: int, complaint: str) -> None:
    error = boot_failure("web", explain(status, complaint, "the last line"), "the last line")
    assert isinstance(error, BootFailed)
    assert passing(error)
    assert error.console_tail == "the last line"


@pytest.mark.parametrize(
    ("status", "complaint", "console"),
    [
        (0, "", PANIC),
        (0, "", ""),
        (-signal.SIGSEGV, "", ""),
        (-signal.SIGSYS, "", ""),
        (1, "qemu: no such device: virtio-x", ""),
        (1, "qemu: Could not set up host forwarding rule 'tcp:0.0.0.0:80-10.0.2.15:80'", ""),
    ],
)
def test_what_would_happen_again_is_not(status: int, complaint: str, console: str) -> None:
    assert not passing(boot_failure("web", explain(status, complaint, console), console))


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EBUSY, errno.ETXTBSY, errno.EMFILE])
def test_a_host_that_is_short_of_something_is_tried_again(number: int) -> None:
    error = OSError(number, os.strerror(number))
    with pytest.raises(HostUnsupported) as caught, host_errors("web"):
        raise error
    assert passing(caught.value)
    assert passing(error)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOSPC])
def test_a_host_that_lacks_something_is_not(number: int) -> None:
    with pytest.raises(HostUnsupported) as caught, host_errors("web"):
        raise OSError(number, os.strerror(number))
    assert not passing(caught.value)


def test_what_could_not_be_gone_on_with_still_has_its_console() -> None:
    error = boot_failure("web", explain(1, "qemu: bad state", "said"), "said", forked=True)
    assert isinstance(error, BootFailed)
    assert error.console_tail == "said"
