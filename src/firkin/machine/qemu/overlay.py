"""Giving a running machine's disk a new top: from then on the guest's writes go there.

The rule: QEMU gets the file as a descriptor, like every other, and is told what lies under it; it reads no
name out of it.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from qemu.qmp import QMPClient

from firkin.errors import AgentError
from firkin.machine.qemu.devices import disk_node, qcow2_node
from firkin.machine.qemu.monitor import execute


async def switch_overlay(client: QMPClient, machine: str, path: Path, index: int = 0) -> None:
    """Put the empty qcow2 at `path` on top of disk `index`; what was on top is only read from now on.

    Raises AgentError where QEMU refuses it, and OSError; then the disk is as it was.
    """
    below = await _top(client, machine, disk_node(index))
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        client.send_fd_scm(fd)
        added: Any = await execute(client, "add-fd", machine)
    finally:
        os.close(fd)
    name = f"{disk_node(index)}-{uuid.uuid4().hex[:8]}"
    node = qcow2_node(name, added["fdset-id"], None, readonly=False)
    await execute(client, "blockdev-add", machine, node)
    try:
        await execute(client, "blockdev-snapshot", machine, {"node": below, "overlay": name})
    except AgentError:
        await execute(client, "blockdev-del", machine, {"node-name": name})
        raise


async def _top(client: QMPClient, machine: str, disk: str) -> str:
    """The node that the guest's disk stands on now: as it was started, or as it was switched to."""
    devices: Any = await execute(client, "query-block", machine)
    for device in devices:
        node = str(device.get("inserted", {}).get("node-name", ""))
        if node == disk or node.startswith(f"{disk}-"):
            return node
    raise AgentError(f"machine {machine!r} has no {disk}", hint="see its state")
