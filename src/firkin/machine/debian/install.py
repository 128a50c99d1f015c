"""`firkin kernel install`: the distribution's kernel for virtual machines, fetched without root into
data/kernels.

    kernels/<version>/vmlinuz
    kernels/<version>/modules/{modules.dep,modules.builtin,kernel/...}     only what a machine can ask for

The rule: a kernel appears whole, by rename, after everything in it was verified. A crash leaves a directory
whose name begins with a dot, which the next install removes.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

from firkin.errors import FirkinError, HostUnsupported, NotFound, StorageFull
from firkin.events import event, stage
from firkin.machine.debian.deb import KernelPackage, extract, read_contents
from firkin.machine.debian.fetch import Fetcher, open_fetcher
from firkin.machine.debian.index import Package, fetch_package, newest, packages
from firkin.machine.debian.sources import AptConfig, read_config, read_sources
from firkin.machine.initramfs import EVERY
from firkin.machine.kernel import Kernel
from firkin.machine.modules import canonical
from firkin.settings import Settings

META_PACKAGE = "linux-image-cloud-amd64"
_PREFIX = "linux-image-"
_ABANDONED_S = 3600.0
_CONCRETE = re.compile(r"linux-image-\d[\w.+~-]*")


async def install_kernel(settings: Settings, *, apt_dir: Path = Path("/etc/apt")) -> Kernel:
    """Fetch the newest kernel that apt's sources on this host offer as linux-image-cloud-amd64.

    Raises NotFound where no source has it, IntegrityError for what is not signed or not what was signed,
    RegistryError and RegistryUnreachable for archives that fail, HostUnsupported without gpgv, StorageFull.
    """
    try:
        config = read_config(apt_dir)
        async with open_fetcher(config, settings.registry_timeout_s) as fetcher:
            with stage("kernel.resolve"):
                package = await _resolve(fetcher, config, apt_dir)
            with stage("kernel.fetch", package=package.name, version=package.version):
                deb = await fetch_package(package, fetcher)
        with stage("kernel.unpack", package=package.name):
            return await asyncio.to_thread(unpack, deb, settings.paths.kernels_dir)
    except OSError as error:
        kind = StorageFull if error.errno in (28, 122) else HostUnsupported
        raise kind(
            f"cannot install a kernel: {error}", hint="make room, or choose another data_dir"
        ) from error


def unpack(deb: bytes, kernels_dir: Path) -> Kernel:
    """Put the kernel of a verified package into `kernels_dir`, replacing one of its version. Raises Corrupt,
    OSError.
    """
    contents = read_contents(deb)
    needed = _needed(contents)
    kernels_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _tidy(kernels_dir)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=kernels_dir))
    try:
        extract(deb, contents, needed, new)
        (new / "modules").mkdir(exist_ok=True)
        (new / "modules" / "modules.dep").write_text(_modules_dep(needed))
        (new / "modules" / "modules.builtin").touch()
        _fsync_all(new)
        home = kernels_dir / contents.version
        if home.exists():
            home.rename(new / "replaced")
        new.rename(home)
        shutil.rmtree(home / "replaced", ignore_errors=True)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return Kernel(home / "vmlinuz", contents.version, home / "modules", "installed")


async def _resolve(fetcher: Fetcher, config: AptConfig, apt_dir: Path) -> Package:
    """The package that META_PACKAGE stands for, from whichever source has the newest."""
    found: list[Package] = []
    problems: list[FirkinError] = []
    for source in read_sources(apt_dir):
        try:
            found += await packages(source, fetcher, config, apt_dir, _PREFIX)
        except FirkinError as error:
            problems.append(error)
            event("kernel.notice", text=str(error))
    metas = [package for package in found if package.name == META_PACKAGE]
    if not metas:
        if problems:
            raise problems[0]
        raise NotFound(
            f"none of apt's sources in {apt_dir} has {META_PACKAGE}",
            hint="add a Debian suite to them, or set `kernel` to a kernel of yours",
        )
    named = _CONCRETE.search(newest(metas).depends)
    concrete = [package for package in found if named and package.name == named[0]]
    if not concrete:
        raise NotFound(
            f"apt's sources lack what {META_PACKAGE} depends on", hint="try again when the mirror is whole"
        )
    return newest(concrete)


def _needed(contents: KernelPackage) -> dict[str, tuple[str, ...]]:
    """The modules (by path) that a machine can ask for, each with all that it needs, nearest first."""
    paths = {canonical(path): path for path in contents.depends}
    closure: dict[str, tuple[str, ...]] = {}

    def visit(name: str) -> tuple[str, ...]:
        if name not in paths:
            return ()  # built in: modules.builtin says so, or the boot will
        path = paths[name]
        if path not in closure:
            closure[path] = ()  # a cycle, which no kernel has, ends here
            below = [each for need in contents.depends[path] for each in (*visit(need), need)]
            ordered = dict.fromkeys(paths[each] for each in below if each in paths)
            closure[path] = tuple(reversed(ordered))
        return tuple(canonical(each) for each in reversed(closure[path]))

    for name in EVERY:
        visit(name)
    return closure


def _modules_dep(needed: dict[str, tuple[str, ...]]) -> str:
    """modules.dep(5) as depmod writes it."""
    return "".join(f"{path}: {' '.join(below)}".rstrip() + "\n" for path, below in needed.items())


def _fsync_all(directory: Path) -> None:
    for parent, _, names in os.walk(directory):
        for path in (parent, *(os.path.join(parent, name) for name in names)):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def _tidy(kernels_dir: Path) -> None:
    """Remove what installs that died left; one that is at work is younger."""
    for leftover in kernels_dir.glob(".new-*"):
        if time.time() - leftover.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(leftover, ignore_errors=True)
