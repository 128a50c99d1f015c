"""What cannot be together with a root file system that is no image's; and what then cannot be done."""

from __future__ import annotations

import msgspec

from firkin.container.root import OF_AN_IMAGE, Root, WritableLayer
from firkin.container.root_file import examined
from firkin.container.spec import ContainerSpec
from firkin.engine.options import RunOptions
from firkin.errors import UsageError
from firkin.machine.qcow2 import MAX_SIZE_BYTES
from firkin.units import format_size
from firkin.volume.record import MIN_BYTES


def check_root(options: RunOptions) -> None:
    """Refuse what contradicts. Raises UsageError."""
    if options.root == OF_AN_IMAGE:
        return
    if options.pod is not None:
        field = "writable_layer" if options.root.file is None else "rootfs"
        raise UsageError(
            f"{field}: containers of a pod have images, and the pod's store", hint="run it without a pod"
        )
    if options.root.file is not None:
        _check_imageless(options)
    if options.root.layer is not None:
        _check_layer(options, options.root.layer)
    elif options.root.in_place is not None and options.disk_bytes is not None:
        raise UsageError(
            "disk: what is written in place has the size that it has", hint="leave --disk out, or :rw"
        )


def _check_layer(options: RunOptions, layer: WritableLayer) -> None:
    if options.root.file is not None and options.root.file.writable:
        raise UsageError(
            "writable_layer: the root file system is to be written to itself", hint="leave it out, or :rw"
        )
    if options.read_only:
        raise UsageError("writable_layer: read_only says that nothing is written", hint="choose one")
    if options.disk_bytes is not None:
        raise UsageError(
            "disk: what is written goes to the writable layer",
            hint="say the size there: --writable-layer SIZE",
        )
    if layer.file is None and not MIN_BYTES <= layer.size_bytes <= MAX_SIZE_BYTES:
        raise UsageError(
            f"writable_layer: {layer.size_bytes} bytes are out of range",
            hint=f"choose from {format_size(MIN_BYTES)} to {format_size(MAX_SIZE_BYTES)}",
        )


def _check_imageless(options: RunOptions) -> None:
    if options.bundle is not None:
        raise UsageError("rootfs: a bundle names its root itself", hint="leave out --rootfs")
    if options.pull != "missing" or options.platform:
        raise UsageError(
            "rootfs: there is no image to pull, nor to choose a platform of",
            hint="leave out what is said of it",
        )
    if not (options.command or options.entrypoint):
        raise UsageError("rootfs: no command to run", hint="write the command after the path")


def found(root: Root) -> Root:
    """`root` as it is now. Raises UsageError, HostUnsupported, InUse."""
    file, layer = root.file, root.layer
    if file is not None:
        file = examined(file, settled=layer is not None)
    if layer is not None and layer.file is not None:
        layer = msgspec.structs.replace(layer, file=examined(layer.file))
    return Root(file=file, layer=layer)


def check_of_an_image(spec: ContainerSpec, what: str) -> None:
    """Raise UsageError where `what` needs an image under the container's disk, and there is none."""
    if spec.root.file is not None:
        raise UsageError(
            f"container {spec.name!r} has {spec.root.file.called}, and {what}",
            hint="`firkin export` gives all of its files; `firkin import` makes an image of them",
        )
