"""Containers in namespaces: `true` without a network, one more process, and a record, beside podman; the
floor is crun or bwrap by itself, where one is installed.

Who runs it, root or a user without rights, is who is measured.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from benchmarks.measure import Contender, Measures, Samples, command_times, take_turns, timed
from benchmarks.place import Place
from benchmarks.podman import Podman, podman
from benchmarks.table import Row
from tests.support.images import busybox_tar

API_LIMIT_S = 0.015
SHARE = 0.5
"""Of podman's time, for the command line."""
_APART = ("--isolation", "namespace", "--network", "none")


def rows(place: Place) -> Iterator[Row]:
    import firkin
    from firkin.settings import Settings

    image = place.static_image
    place.run([place.firkin, "run", "--rm", *_APART, image, "true"])  # makes the tree of its files
    with ExitStack() as stack:
        engine = stack.enter_context(firkin.Engine(Settings.load(place.environ)))
        peer = stack.enter_context(podman(place))
        words = {"isolation": "namespace", "network": "none"}
        box = stack.enter_context(engine.run(image, ["sleep", "1000000"], **words))  # type: ignore[arg-type]
        stack.callback(place.run, ["sh", "-c", f'"{place.firkin}" container prune --force'])

        def run_through_api() -> Measures:
            def whole() -> None:
                with engine.run(image, ["true"], **words) as container:  # type: ignore[arg-type]
                    container.wait()

            return {"whole": timed(whole)}

        def exec_through_api() -> Measures:
            return {"whole": timed(lambda: box.exec(["true"]).output(check=True))}

        contenders = [
            Contender("run", command(place, "run", "--rm", *_APART, image, "true")),
            Contender("exec", command(place, "exec", box.name, "true")),
            Contender("create", command(place, "create", *_APART, image, "true")),
            Contender("api run", run_through_api),
            Contender("api exec", exec_through_api),
            *floors(place, peer),
            *peers(stack, peer),
        ]
        samples = take_turns(contenders, place.rounds)
    yield from _shown(samples, bare=[each.name for each in contenders if each.name.startswith("bare")])


def command(place: Place, *words: str) -> Callable[[], Measures]:
    return lambda: command_times([place.firkin, *words], place.environ)


def floors(place: Place, peer: Podman | None) -> Iterator[Contender]:
    """The runtimes that do nothing but namespaces, over the same files."""
    root = place.root / "bare" / "rootfs"
    root.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", str(root)], input=busybox_tar(), check=True)
    if shutil.which("bwrap"):
        argv = [
            "bwrap",
            "--bind",
            str(root),
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--unshare-all",
            "true",
        ]
        yield Contender("bare bwrap", lambda: command_times(argv))
    if shutil.which("crun"):
        enter = () if peer is None else peer.enter
        made = f"cd {root.parent} && crun spec && cat config.json"
        spec = json.loads(subprocess.check_output([*enter, "sh", "-c", made]))
        spec["process"] |= {"args": ["true"], "terminal": False, "rlimits": []}
        (root.parent / "config.json").write_text(json.dumps(spec))
        alone = ("--root", str(place.root / "crun"), "--cgroup-manager=disabled")
        crun = [*enter, "crun", *alone, "run", "--bundle", str(root.parent), "bare"]
        yield Contender("bare crun", lambda: command_times(crun))


def peers(stack: ExitStack, peer: Podman | None) -> Iterator[Contender]:
    if peer is None:
        return
    name = stack.enter_context(peer.running())
    yield Contender("podman run", lambda: peer.run("none"))
    yield Contender("podman exec", lambda: peer.exec(name))
    yield Contender("podman create", peer.create)


def _shown(samples: Samples, bare: list[str]) -> Iterator[Row]:
    user = "root" if os.geteuid() == 0 else "rootless"
    lowest = samples[bare[0]]["whole"] if bare else None
    for verb in ("run", "exec", "create"):
        theirs = samples.get(f"podman {verb}")
        goal, limit = ("", None) if theirs is None else ("<= podman / 2", theirs["whole"].median * SHARE)
        floor = lowest if verb == "run" else None
        name = bare[0] if floor is not None else ""
        yield Row(f"firkin {verb}, {user}", samples[verb]["whole"], "ms", goal, limit, floor, name)
        if theirs is not None:
            yield Row(f"podman {verb}, {user}", theirs["whole"], "ms")
    for verb in ("run", "exec"):
        ours = samples[f"api {verb}"]["whole"]
        yield Row(f"the same {verb}, API", ours, "ms", "< 15 ms", API_LIMIT_S)
    for each in bare:
        yield Row(f"{each}: true", samples[each]["whole"], "ms")
