"""SpecOf: the OCI runtime spec of a container, as `firkin generate spec` prints it.

The rule: whoever runs the file as a bundle gets the container that was described, but for what a config.json
has no words for (the machine's size, its network, published ports, restarts, a health check), which stays
with the command line; what it would tell wrongly, such as a volume, is an error.
"""

from __future__ import annotations

import signal

import msgspec

from firkin.container.spec import ContainerSpec, Protected
from firkin.engine.bundle_words import NAMESPACES, OURS
from firkin.engine.filters import profile_of
from firkin.engine.options import RunOptions
from firkin.engine.resolve import container_spec
from firkin.engine.spawn_op import RLIMITS
from firkin.errors import UsageError
from firkin.linux.id_mode import IdMode
from firkin.oci import runtime_spec as oci
from firkin.oci.digest import Digest
from firkin.oci.image import Image
from firkin.oci.image_config import ImageConfig
from firkin.oci.platform import Platform
from firkin.process import capabilities, policy
from firkin.process.raw import raw
from firkin.process.spec import ProcessSpec
from firkin.settings import Settings

_ORDER = ("nosuid", "noexec", "nodev", "strictatime", "relatime", "newinstance")
_PERIOD_US = 100_000


def spec_of(options: RunOptions, image: Image, settings: Settings) -> oci.RuntimeSpec:
    """The spec of a run with `options`, which passed rules.check. Raises as container_spec(), UsageError."""
    if options.root.file is not None:
        raise UsageError(
            f"rootfs: a config.json has a directory for a root, and cannot say {options.root.file.path}",
            hint="leave out --rootfs and the path",
        )
    if options.root.layer is not None or options.storage.devices:
        raise UsageError(
            f"{'writable_layer' if options.root.layer else 'device'}: a config.json cannot say what disks a "
            "machine has",
            hint="leave it out",
        )
    if options.id_mode != IdMode() or any(bind.owners for bind in options.binds):
        raise UsageError(
            "userns: what is generated is for machines, which have users of their own",
            hint="leave out --userns, --uidmap and --gidmap, and U and idmap behind a -v",
        )
    spec = container_spec(
        options, image, rootfs_key="", container_id="0" * 64, name="", created_ns=0, settings=settings
    )
    if spec.storage.volumes:
        raise UsageError(
            f"volume: a config.json cannot say what is at {spec.storage.volumes[0].target}",
            hint="mount a directory of the host there: -v /PATH:DIR",
        )
    hostname = options.hostname
    env = tuple(each for each in spec.process.env if hostname or not each.startswith("HOSTNAME=0000"))
    return oci.RuntimeSpec(
        oci_version=oci.VERSION,
        process=_process(spec.process, env),
        root=oci.Root(path="rootfs", readonly=spec.read_only),
        hostname=hostname,
        domainname=spec.network.domain,
        mounts=_mounts(spec),
        annotations={**spec.labels, **_stop_signal(spec)} or None,
        linux=_linux(spec, options, settings),
    )


def _stop_signal(spec: ContainerSpec) -> dict[str, str]:
    return {} if spec.stop_signal == signal.SIGTERM else {oci.STOP_SIGNAL: str(spec.stop_signal)}


def _process(process: ProcessSpec, env: tuple[str, ...]) -> oci.Process:
    asked, size = process.policy, process.terminal
    uid, gid = _numbers(process.user)
    groups = tuple(map(_number, process.groups))
    limits = {limit.type: limit for limit in (*RLIMITS, *asked.rlimits)}.values()
    return oci.Process(
        args=tuple(map(_text, process.args)),
        env=tuple(map(_text, env)),
        cwd=process.cwd,
        terminal=size is not None,
        console_size=None if size is None else oci.ConsoleSize(height=size.rows, width=size.cols),
        user=oci.User(uid=uid, gid=gid, umask=asked.umask, additional_gids=groups or None),
        capabilities=_capabilities(asked),
        rlimits=tuple(
            oci.Rlimit(type=f"RLIMIT_{policy.RLIMITS[each.type]}", soft=each.soft, hard=each.hard)
            for each in limits
        ),
        no_new_privileges=asked.no_new_privs,
        apparmor_profile=asked.apparmor,
        selinux_label=asked.selinux,
        oom_score_adj=asked.oom_score_adj or None,
        scheduler=msgspec.convert(asked.scheduler, oci.Scheduler | None, from_attributes=True),
        io_priority=_io_priority(asked),
    )


def _capabilities(asked: policy.ProcessPolicy) -> oci.Capabilities:
    def named(bits: int) -> tuple[str, ...]:
        return tuple(f"CAP_{each}" for each in capabilities.names(bits))

    sets = asked.capabilities
    return oci.Capabilities(**{name: named(getattr(sets, name)) for name in sets.__struct_fields__})


def _io_priority(asked: policy.ProcessPolicy) -> oci.IoPriority | None:
    wanted = asked.io_priority
    return None if wanted is None else oci.IoPriority(io_class=wanted.io_class, priority=wanted.priority)


def _text(word: str) -> str:
    try:
        return raw(word).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{word!r} is not UTF-8, which JSON has to be", hint="leave it out") from error


def _numbers(user: str) -> tuple[int, int]:
    """A runtime looks nothing up in the image."""
    uid, _, gid = user.partition(":")
    return _number(uid or "0"), _number(gid or "0")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"user: a config.json has numbers, and not {text!r}", hint="say --user UID:GID")
    return int(text)


def _mounts(spec: ContainerSpec) -> tuple[oci.Mount, ...]:
    """Ours in their order, then those that were asked for, each above what is below it."""
    ours = [
        oci.Mount(destination=target, type=kind, source=kind, options=_options(target, known, spec))
        for target, (kind, known) in OURS.items()
    ]
    binds = [
        oci.Mount(
            destination=each.target, type="bind", source=each.source,
            options=("rbind", "rprivate", "ro" if each.readonly else "rw", *each.options),
        )
        for each in spec.binds
    ]  # fmt: skip
    tmpfs = [
        oci.Mount(destination=each.target, type="tmpfs", source="tmpfs", options=each.options)
        for each in spec.tmpfs
    ]
    return (*ours, *sorted((*binds, *tmpfs), key=lambda mount: mount.destination))


def _options(target: str, known: set[str], spec: ContainerSpec) -> tuple[str, ...]:
    found = sorted(
        known - {"private", "rprivate"},
        key=lambda each: (_ORDER.index(each) if each in _ORDER else len(_ORDER), each),
    )
    return (*found, *((f"size={spec.shm_bytes}",) if target == "/dev/shm" else ()))


def _linux(spec: ContainerSpec, options: RunOptions, settings: Settings) -> oci.Linux:
    protected: Protected = spec.protected
    return oci.Linux(
        namespaces=tuple(oci.Namespace(type=name) for name in (*NAMESPACES, "cgroup")),
        resources=_resources(spec, options),
        sysctl=spec.network.sysctls or None,
        seccomp=profile_of(spec.process.policy, spec.knobs.chosen(settings)),
        masked_paths=protected.masked,
        readonly_paths=protected.read_only,
    )


def _resources(spec: ContainerSpec, options: RunOptions) -> oci.Resources:
    """What was asked for; a machine's own size is no limit that another runtime has to hold."""
    held = spec.limits
    memory, cpus, pids = held.memory_bytes or options.memory_bytes, held.cpus or options.cpus, held.pids
    quota = None if cpus is None else round(cpus * _PERIOD_US)
    cpu = oci.Cpu(
        quota=quota,
        period=None if quota is None else _PERIOD_US,
        shares=held.shares,
        cpus=held.cpuset or None,
    )
    return oci.Resources(
        devices=(oci.DeviceRule(allow=False, access="rwm"),),
        memory=None if memory is None else oci.Memory(limit=memory, swap=held.memory_swap_bytes),
        cpu=None if cpu == oci.Cpu() else cpu,
        pids=None if pids is None else oci.Pids(limit=pids),
    )


def nothing() -> Image:
    """The image of a bundle that is yet to be made: it says nothing."""
    digest = Digest.of(b"")
    return Image(digest, digest, ImageConfig(platform=Platform.host(), diff_ids=(digest,)), (), 0)
