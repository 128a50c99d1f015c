"""Messages: what podman, its kin, QEMU and firkin print for a fault, and which fault that is.

The rule: the first pattern that fits a line decides; a log is bounded, and so is what is looked at of a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from firkin.errors import UsageError
from firkin.faults import files, ids, images, kernel, machines, reported
from firkin.faults.catalogue import FAULTS
from firkin.faults.fault import Fault, Finding

MAX_BYTES = 32 << 20
_MAX_CHARS = 8192
_QUOTED_CHARS = 300
_HOST = r"https://(?P<host>[\w.:-]+)/[^ ]* .*"
_NAME = r"[^\s\"\\]+"
_OURS = re.compile(r"firkin doctor --explain ([a-z][a-z0-9-]{1,40})")

PATTERNS: tuple[tuple[str, Fault], ...] = (
    # ids and user namespaces
    (r"cannot find (UID/GID|mappings) for user \W?(?P<user>[\w.-]+)", ids.SUBIDS_MISSING),
    (r"no sub[ug]id ranges found( for user \W?(?P<user>[\w.-]+))?", ids.SUBIDS_MISSING),
    (r"potentially insufficient UIDs or GIDs available", reported.IMAGE_NEEDS_IDS),
    (r"new[ug]idmap: [ug]id range \S+ -> \S+ not allowed", ids.SUBIDS_SMALL),
    (r"write to [ug]id_map failed: Operation not permitted", ids.IDMAP_POWERLESS),
    (r"command required for rootless mode with multiple IDs", ids.IDMAP_MISSING),
    (r'"new[ug]idmap": executable file not found', ids.IDMAP_MISSING),
    (r"(cannot clone|unshare failed|unshare): No space left on device", ids.USERNS_LIMITED),
    (r"(cannot clone|unshare failed|unshare): Operation not permitted", ids.USERNS_DENIED),
    (r"cannot re-exec process", reported.RE_EXEC),
    # images and registries
    (r"/policy\.json: no such file", images.POLICY_MISSING),
    (r"short-name \S+ did not resolve to an alias and no", images.REGISTRIES_MISSING),
    (r"certificate has expired or is not yet valid", kernel.CLOCK_WRONG),
    (
        rf"({_HOST})?(certificate signed by unknown authority|CERTIFICATE_VERIFY_FAILED)",
        reported.UNTRUSTED_AUTHORITY,
    ),
    (rf"({_HOST})?server gave HTTP response to HTTPS client", reported.PLAIN_HTTP),
    (rf"({_HOST})?first record does not look like a TLS handshake", reported.PLAIN_HTTP),
    (rf"missing client certificate (?P<missing>{_NAME}) for key (?P<path>{_NAME})", images.CERTIFICATES_LONE),
    (rf"missing key (?P<missing>{_NAME}) for client certificate (?P<path>{_NAME})", images.CERTIFICATES_LONE),
    (r"payload does not match any of the supported image formats", reported.IMAGE_FORMAT),
    # directories, mounts and sockets
    (r"statfs (?P<path>/?\S.*?): no such file or directory", reported.MOUNT_SOURCE_MISSING),
    (r"could not set permissions on .*operation not permitted", reported.KEEP_ID_OWNERSHIP),
    (r"XDG_RUNTIME_DIR directory .* is not owned by the current user", files.RUNTIME_FOREIGN),
    (r'"/" is not a shared mount', files.ROOT_NOT_SHARED),
    (r"unable to connect to Podman socket.*no such file or directory", reported.SERVICE_MISSING),
    (r"podman\.sock: connect: no such file or directory", reported.SERVICE_MISSING),
    (r"bind: (invalid argument|file name too long)", reported.SOCKET_PATH),
    (r"(AF_UNIX|unix socket) path too long", reported.SOCKET_PATH),
    (r'graph driver "?\w+"? overwritten by graph driver', files.STORAGE_MIXED),
    (r"exec format error", machines.EMULATOR_MISSING),
    # devices, networks, limits
    (r"fuse: (failed to open /dev/fuse|device not found)", machines.FUSE_UNUSABLE),
    (r"open(ing)? /dev/net/tun", machines.TUN_UNUSABLE),
    (r"/dev/kvm: permission denied|access KVM kernel module: Permission denied", machines.KVM_DENIED),
    (r"access KVM kernel module: No such file", machines.KVM_MISSING),
    (r"could not find (pasta|slirp4netns|network helper)", kernel.NETWORK_HELPER_MISSING),
    (r'"(pasta|slirp4netns)": executable file not found', kernel.NETWORK_HELPER_MISSING),
    (r"netavark: no such file or directory", kernel.NETAVARK_IPTABLES),
    (r"cgroups in hybrid mode not supported", kernel.CGROUPS_HYBRID),
    (r"cannot expose privileged port (?P<start>\d+)", kernel.LOW_PORTS),
    (r"inotify.*(too many open files|no space left on device)", kernel.INOTIFY_FEW),
    (r"too many open files", kernel.FILES_FEW),
    (r"no space left on device", reported.SPACE),
    (r"connection refused", reported.REFUSED),
)
"""Special before general: space is short of many things."""

_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), fault) for pattern, fault in PATTERNS)


def recognised(log: bytes) -> list[Finding]:
    """The faults that a log tells of, each once, by its first line. Raises UsageError for one too long."""
    if len(log) > MAX_BYTES:
        what = f"the log has more than {MAX_BYTES >> 20} MiB"
        raise UsageError(what, hint="give the part around the error: tail -n 1000 LOG")
    found: dict[str, Finding] = {}
    for line in log.decode(errors="replace").splitlines():
        for finding in _of_line(line[:_MAX_CHARS]):
            found.setdefault(finding.id, finding)
    return list(found.values())


def _of_line(line: str) -> Iterator[Finding]:
    said = line.strip()[:_QUOTED_CHARS]
    for ours in _OURS.findall(line):
        if ours in FAULTS:
            yield FAULTS[ours].found(f"{FAULTS[ours].title}: {said}")
    for pattern, fault in _COMPILED:
        if match := pattern.search(line):
            words = {name: word for name, word in match.groupdict().items() if word}
            yield fault.found(f"{fault.title}: {said}", **words)
            return
