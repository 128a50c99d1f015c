"""Resolve: RunOptions meet the image and the settings, and become a ContainerSpec that cannot be misread.

Nothing here starts, creates or writes anything.
"""

from __future__ import annotations

import posixpath

import msgspec

from firkin.container.health import HealthCheck
from firkin.container.pod import Member
from firkin.container.root import OF_AN_IMAGE, Root
from firkin.container.spec import ContainerSpec, Protected, StorageDriver
from firkin.container.storage import Storage
from firkin.engine.environment import DEFAULT_PATH, merge_environment
from firkin.engine.health_words import health_check
from firkin.engine.options import ExecOptions, RunOptions
from firkin.engine.published import exposed_ports, published_ports
from firkin.engine.rules import check_groups, check_user, check_words, check_workdir
from firkin.engine.signals import parse_signal
from firkin.errors import FirkinError, HostUnsupported, UsageError
from firkin.linux.id_map import IdMap
from firkin.oci.image import Image
from firkin.oci.image_config import ImageConfig
from firkin.oci.platform import Platform
from firkin.process.policy import ProcessPolicy, Seccomp
from firkin.process.spec import ProcessSpec
from firkin.settings import Settings

_MODELS = {"vm": ProcessPolicy(), "namespace": ProcessPolicy(seccomp=Seccomp(kind="default"))}
"""Whose kernel is the host's has Docker's filter, unless somebody says otherwise."""


def container_spec(
    options: RunOptions,
    image: Image | None,
    *,
    rootfs_key: str,
    container_id: str,
    name: str,
    created_ns: int,
    settings: Settings,
    storage: Storage | None = None,
    root: Root = OF_AN_IMAGE,
    id_map: IdMap | None = None,
    storage_driver: StorageDriver = "overlay",
    detached: bool = False,
) -> ContainerSpec:
    """What `options`, which passed rules.check, make of `image`, or of `root` where that is none's.

    Raises UsageError or HostUnsupported.
    """
    config = ImageConfig(platform=Platform.host(), diff_ids=()) if image is None else image.config
    translated = _translated(options, config.platform)
    hostname = options.hostname or container_id[:12]
    return ContainerSpec(
        id=container_id,
        name=name,
        image=options.image,
        image_digest="" if image is None else str(image.digest),
        rootfs_key=rootfs_key,
        process=_process(options, config, hostname),
        created_ns=created_ns,
        hostname=hostname,
        cpus=options.cpus if options.cpus is not None else settings.cpus,
        memory_bytes=options.memory_bytes if options.memory_bytes is not None else settings.memory_bytes,
        disk_bytes=disk_bytes(options, settings, root),
        shm_bytes=64 << 20 if options.shm_bytes is None else options.shm_bytes,
        limits=options.limits,
        knobs=msgspec.structs.replace(options.knobs, translated=translated),
        read_only=options.read_only,
        protected=_protected(options),
        network=msgspec.structs.replace(options.network, exposed=exposed_ports(options, config)),
        ports=published_ports(options, config),
        binds=options.binds,
        sockets=options.sockets,
        tmpfs=options.tmpfs,
        storage=options.storage if storage is None else storage,
        root=root,
        stop_signal=_stop_signal(options, config),
        stop_timeout_s=10.0 if options.stop_timeout_s is None else options.stop_timeout_s,
        auto_remove=options.auto_remove,
        detached=detached,
        restart=options.restart,
        health=_health(options, config),
        labels={**config.labels, **options.labels},
        pod=options.pod,
        isolation=options.isolation,
        id_map=id_map,
        id_mode=options.id_mode,
        storage_driver=storage_driver,
    )


def disk_bytes(options: RunOptions, settings: Settings, root: Root = OF_AN_IMAGE) -> int:
    """The size of the container's disk, which is also that of the file system on it. Raises UsageError."""
    if root.file is not None:
        wanted, least = options.disk_bytes, root.file.size_bytes
        if wanted is not None and wanted < least:
            raise UsageError(
                f"disk: {wanted} bytes cannot hold {root.file.called} of {least} bytes", hint="ask for more"
            )
        return least if wanted is None else wanted
    return options.disk_bytes if options.disk_bytes is not None else settings.disk_bytes


def exec_process(options: ExecOptions, first: ProcessSpec) -> ProcessSpec:
    """One more process in the container whose first one is `first`. Raises UsageError."""
    check_user(options.user)
    check_groups(options.groups)
    check_workdir(options.workdir)
    terminal_env = ("TERM=xterm",) if options.terminal else ()
    env = merge_environment(terminal_env, first.env, options.env)
    check_words((*options.command, *env))
    return ProcessSpec(
        args=options.command,
        env=env,
        cwd=options.workdir or first.cwd,
        user=options.user or first.user,
        groups=options.groups or first.groups,
        policy=options.policy.applied(first.policy),
        stdin=options.stdin,
        outputs=options.outputs,
        terminal=options.terminal,
    )


def _process(options: RunOptions, config: ImageConfig, hostname: str) -> ProcessSpec:
    defaults = (DEFAULT_PATH, f"HOSTNAME={hostname}", *(("TERM=xterm",) if options.terminal else ()))
    if options.bundle is not None:
        defaults = ()
    args = _args(options, config)
    env = merge_environment(defaults, config.env, options.env)
    user = options.user or config.user
    check_words((*args, *env))
    check_user(user)
    return ProcessSpec(
        args=args,
        env=env,
        cwd=options.workdir or posixpath.join("/", config.working_dir),
        user=user,
        groups=options.groups,
        policy=options.policy.applied(_MODELS[options.isolation]),
        init=options.init,
        stdin=options.stdin,
        outputs=options.outputs,
        terminal=options.terminal,
    )


def _health(options: RunOptions, config: ImageConfig) -> HealthCheck | None:
    check = health_check(options.health, config.healthcheck, config.shell)
    check_words(() if check is None else check.args)
    return check


def _protected(options: RunOptions) -> Protected:
    if options.bundle is not None:
        return options.bundle.protected
    return Protected() if options.hides_system_paths else Protected(masked=(), read_only=())


def _args(options: RunOptions, config: ImageConfig) -> tuple[str, ...]:
    """As Docker: a given entrypoint replaces the image's and drops its cmd; a command replaces the cmd."""
    entrypoint = config.entrypoint if options.entrypoint is None else options.entrypoint
    default = config.cmd if options.entrypoint is None else ()
    args = (*entrypoint, *(options.command or default))
    if not args:
        raise UsageError(
            f"image {options.image} names no command to run", hint="write the command after the image's name"
        )
    return args


def _stop_signal(options: RunOptions, config: ImageConfig) -> int:
    if options.stop_signal is not None:
        return options.stop_signal
    return parse_signal(config.stop_signal) if config.stop_signal else 15


def _translated(options: RunOptions, platform: Platform) -> str:
    """The architecture whose programs are to be translated; "" where the machine runs them by itself.

    Raises HostUnsupported where there is nothing that translates them.
    """
    host = Platform.host()
    if host.runs(platform):
        return ""
    what = f"image {options.image} is for {platform}, and this host runs {host}"
    choose = f"choose a tag that has {host}, or leave out --platform"
    if options.isolation == "namespace":
        raise HostUnsupported(f"{what}: a container in namespaces has its processor", hint=choose)
    if isinstance(options.pod, Member):
        raise HostUnsupported(f"{what}: the machine of a pod translates nothing", hint=choose)
    if (platform.os, platform.architecture) == (host.os, host.architecture):
        raise HostUnsupported(what, hint=choose)
    from firkin.machine.translator import find

    try:
        find(platform.architecture)
    except FirkinError as error:
        raise HostUnsupported(f"{what}: {error}", hint=error.hint or choose) from error
    return platform.architecture
