"""`firkin info`: how firkin is set up here, and whether machines can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from firkin.cli.options import format_option

if TYPE_CHECKING:
    from firkin.settings import Settings


@click.command()
@format_option("lines")
def command(form: str) -> int:
    """Show how firkin is set up here.

    Says which kernel, QEMU and accelerator machines use; where something is missing, what to do about it,
    and the exit status is 125.
    """
    from firkin.settings import Settings

    facts = _facts(Settings.load())
    if form:
        from firkin.cli.listing import shown

        click.echo(shown(facts, form), nl=False)
    else:
        click.echo(_lines(facts))
    return 125 if facts["Problem"] else 0


def _facts(settings: Settings) -> dict[str, Any]:
    from firkin import __version__
    from firkin.container.record import Running
    from firkin.engine.engine import Engine

    engine = Engine(settings)
    containers = engine.containers(all=True)
    return {
        "Version": __version__,
        "DataDir": settings.data_dir,
        "RunDir": settings.run_dir,
        "Containers": len(containers),
        "ContainersRunning": sum(isinstance(each.state, Running) for each in containers),
        "Images": len({image.id for image in engine.images()}),
        **_machine(settings),
        "Memory": settings.memory_bytes,
        "Cpus": settings.cpus,
        "Disk": settings.disk_bytes,
        **_namespaces(settings),
    }


def _machine(settings: Settings) -> dict[str, Any]:
    """What machines run on; `Problem` and `Hint` say why none can."""
    import asyncio

    from firkin.errors import FirkinError
    from firkin.events import Event, subscribed
    from firkin.machine.kernel import choose_kernel
    from firkin.machine.spec import MachineSpec
    from firkin.machine.start import prepare

    facts = dict.fromkeys(("Kernel", "KernelPath", "Qemu", "Accelerator", "Notice", "Problem", "Hint"), "")

    def notice(event: Event) -> None:
        if event.name == "machine.notice":
            facts["Notice"] = str(event.fields["text"])

    try:
        with subscribed(notice):
            prepared = asyncio.run(prepare(MachineSpec(name="info"), settings))
        kernel = choose_kernel(settings)
    except FirkinError as error:
        return facts | {"Problem": str(error), "Hint": error.hint}
    return facts | {
        "Kernel": kernel.version,
        "KernelPath": str(kernel.path),
        "Qemu": prepared.vmm.qemu,
        "Accelerator": prepared.vmm.accelerator,
    }


def _namespaces(settings: Settings) -> dict[str, Any]:
    """How containers in namespaces get a root of their own, and why not by an overlay."""
    from firkin.container.storage_driver import choose

    found = choose(settings.paths, settings.storage_driver)
    return {"StorageDriver": found.driver, "StorageDriverReason": found.why}


def _lines(facts: dict[str, Any]) -> str:
    from firkin.cli.report import printable

    if facts["Problem"]:
        machine = [("machines", f"cannot run: {facts['Problem']}"), ("", f"hint: {facts['Hint']}")]
    else:
        machine = [
            ("kernel", f"{facts['Kernel']}, {facts['KernelPath']}"),
            ("QEMU", facts["Qemu"]),
            ("accelerator", facts["Accelerator"]),
            *([("", facts["Notice"])] if facts["Notice"] else []),
        ]
    size, disk = _binary(facts["Memory"]), _binary(facts["Disk"])
    rows = [
        ("version", facts["Version"]),
        ("containers", f"{facts['Containers']}, {facts['ContainersRunning']} of them running"),
        ("images", facts["Images"]),
        *machine,
        ("a machine has", f"{size} of memory, {facts['Cpus']} CPU, {disk} of disk, unless told otherwise"),
        ("in namespaces", f"a root by {facts['StorageDriver']}{_because(facts['StorageDriverReason'])}"),
        ("data", facts["DataDir"]),
        ("sockets", facts["RunDir"]),
    ]
    return "\n".join(f"{name:<14} {printable(str(value))}" for name, value in rows)


def _because(why: str) -> str:
    return f" ({why})" if why else ""


def _binary(size_bytes: int) -> str:
    """In the powers of 1024 that a person set it by."""
    mebibytes, rest = divmod(size_bytes, 1 << 20)
    return (
        f"{mebibytes // 1024} GiB"
        if not rest and mebibytes % 1024 == 0
        else f"{size_bytes / (1 << 20):g} MiB"
    )
