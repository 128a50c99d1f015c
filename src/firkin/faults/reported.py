"""Faults that only a message tells of: no check of this host could see them before something is run."""

from __future__ import annotations

from firkin.faults.fault import Fault

_LOG = "messages"

IMAGE_NEEDS_IDS = Fault(
    id="image-needs-ids",
    subject=_LOG,
    severity="error",
    title="the image has files of ids that the user namespace lacks",
    why="without subordinate ids a user has one id only, and cannot unpack files of others",
    fix=(
        "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
        "podman system migrate",
        "firkin run IMAGE  # a machine has all ids, whatever the host gives",
    ),
    proof="podman unshare cat /proc/self/uid_map",
    concerns=("namespaces", "podman"),
)
UNTRUSTED_AUTHORITY = Fault(
    id="untrusted-authority",
    subject=_LOG,
    severity="error",
    title="the registry's certificate is signed by an authority that this host does not know",
    why="it is the registry's own authority, or a proxy's on the way, or this host has no authorities at all",
    fix=(
        "sudo install -D -m 0644 ca.crt /usr/local/share/ca-certificates/registry.crt",
        "sudo update-ca-certificates",
        "sudo install -D -m 0644 ca.crt /etc/containers/certs.d/{host}/ca.crt  # for podman alone",
    ),
    proof="openssl s_client -connect {host} -verify_return_error </dev/null",
    concerns=("machines", "podman"),
)
PLAIN_HTTP = Fault(
    id="plain-http",
    subject=_LOG,
    severity="error",
    title="the registry speaks plain HTTP",
    why="a registry is spoken to by TLS unless it is marked insecure: anybody on the way could change images",
    fix=(
        "export FIRKIN_INSECURE_REGISTRIES={host}  # if you trust this network",
        "podman pull --tls-verify=false {host}/IMAGE",
    ),
    proof="curl -sI http://{host}/v2/",
    concerns=("machines", "podman"),
)
IMAGE_FORMAT = Fault(
    id="image-format",
    subject=_LOG,
    severity="error",
    title="the archive is not one that podman can load",
    why="podman load takes docker-archives and OCI archives that are not compressed, not the tar of "
    "a root file system",
    fix=(
        "firkin import ARCHIVE NAME  # a root file system's tar",
        "gunzip ARCHIVE && podman load -i ARCHIVE",
    ),
    proof="tar tf ARCHIVE | head",
    concerns=("podman",),
)
MOUNT_SOURCE_MISSING = Fault(
    id="mount-source-missing",
    subject=_LOG,
    severity="error",
    title="the directory that is to be mounted is not on this host",
    why="podman makes no directories for -v, as docker does; with a remote podman the path is the server's",
    fix=("mkdir -p {path}",),
    proof="ls -ld {path}",
    concerns=("podman",),
)
SERVICE_MISSING = Fault(
    id="service-missing",
    subject=_LOG,
    severity="error",
    title="podman's service does not run",
    why="docker's tools and podman's remote talk to a socket that systemd or `podman system service` makes",
    fix=("systemctl --user enable --now podman.socket", "podman system service --time=0 &"),
    proof="curl -s --unix-socket $XDG_RUNTIME_DIR/podman/podman.sock http://d/_ping",
    concerns=("podman",),
)
REFUSED = Fault(
    id="refused",
    subject=_LOG,
    severity="error",
    title="nobody listens where something connected",
    why="the server has ended and left its socket, or never listened at that address",
    fix=("ss -lntxp  # shows who listens where; then start the server, or remove the socket that it left",),
    proof="ss -lntxp",
    concerns=("machines", "podman"),
)
KEEP_ID_OWNERSHIP = Fault(
    id="keep-id-ownership",
    subject=_LOG,
    severity="error",
    title="files of the container's user cannot be given to it",
    why="with --userns=keep-id the directory belongs to an id that is not mapped, or lies on a file system "
    "that does not store owners",
    fix=(
        "podman unshare chown -R $(id -u):$(id -g) DIRECTORY  # or mount it with :U",
        "firkin run -v DIRECTORY:/mnt IMAGE",
    ),
    proof="podman unshare ls -ln DIRECTORY",
    concerns=("podman",),
)
RE_EXEC = Fault(
    id="re-exec",
    subject=_LOG,
    severity="error",
    title="podman could not join its own user namespace",
    why="its pause process is gone, or the namespaces that a pid file names cannot be entered any more",
    fix=("podman system migrate",),
    proof="podman unshare true",
    concerns=("podman",),
)
SOCKET_PATH = Fault(
    id="socket-path",
    subject=_LOG,
    severity="error",
    title="a socket cannot be made at its path",
    why="the path has more than 107 bytes (103 on macOS), or is a link: bind(2) follows none",
    fix=("export XDG_RUNTIME_DIR=/run/user/$(id -u) TMPDIR=/tmp  # short, and no links",),
    proof='echo -n "$XDG_RUNTIME_DIR" | wc -c',
    concerns=("podman",),
)
SPACE = Fault(
    id="space",
    subject=_LOG,
    severity="error",
    title="a disk is full, or has no inodes left",
    why="of the image store or of the temporary directory: a pull needs both",
    fix=("df -h; df -i  # shows which; then: firkin prune, podman system prune -a", "export TMPDIR=/var/tmp"),
    proof="df -h; df -i",
    concerns=("machines", "podman"),
)
UNEXAMINED = Fault(
    id="unexamined",
    subject="doctor",
    severity="note",
    title="something of this host could not be looked at",
    why="what is hidden from this user may be wrong too",
    fix=("sudo firkin doctor",),
    proof="firkin doctor",
    concerns=("machines",),
)
