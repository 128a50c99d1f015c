"""What cannot be together with a root file system that is no image's; and what then cannot be done."""

from __future__ import annotations

from firkin.container.root import OF_AN_IMAGE, Root
from firkin.container.root_file import examined
from firkin.container.spec import ContainerSpec
from firkin.engine.options import RunOptions
from firkin.errors import UsageError


def check_root(options: RunOptions) -> None:
    """Refuse what contradicts. Raises UsageError."""
    if options.root == OF_AN_IMAGE:
        return
    if options.pod is not None:
        raise UsageError("rootfs: containers of a pod have images", hint="run it without a pod")
    if options.bundle is not None:
        raise UsageError("rootfs: a bundle names its root itself", hint="leave out --rootfs")
    if options.root.file is not None:
        _check_imageless(options)
    if options.root.in_place is not None and options.disk_bytes is not None:
        raise UsageError(
            "disk: what is written in place has the size that it has", hint="leave --disk out, or :rw"
        )


def _check_imageless(options: RunOptions) -> None:
    if options.pull != "missing" or options.platform:
        raise UsageError(
            "rootfs: there is no image to pull, nor to choose a platform of",
            hint="leave out what is said of it",
        )
    if not (options.command or options.entrypoint):
        raise UsageError("rootfs: no command to run", hint="write the command after the path")


def found(root: Root) -> Root:
    """`root` as it is now. Raises UsageError, HostUnsupported, InUse."""
    return Root(file=None if root.file is None else examined(root.file))


def check_of_an_image(spec: ContainerSpec, what: str) -> None:
    """Raise UsageError where `what` needs an image under the container's disk, and there is none."""
    if spec.root.file is not None:
        raise UsageError(
            f"container {spec.name!r} has {spec.root.file.called}, and {what}",
            hint="`firkin export` gives all of its files; `firkin import` makes an image of them",
        )
