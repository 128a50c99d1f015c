"""Containers of a pod: the first one, which starts the machine and brings the image's layers into it, and the
second one; beside the floor, one more process in a container that runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import Contender, Measures, take_turns, timed
from benchmarks.place import Place
from benchmarks.table import Row

SHARE = 0.2


def rows(place: Place) -> Iterator[Row]:
    import firkin
    from firkin.settings import Settings

    wait, say = ["sleep", "100000"], ["echo", "hi"]
    with firkin.Engine(Settings.load(place.environ)) as engine:

        def pod() -> Measures:
            with engine.pod() as pod:
                first = timed(lambda: pod.run(place.static_image, wait))
                second = timed(lambda: pod.run(place.static_image, wait))
                container = pod.containers()[0]
                return {
                    "first": first,
                    "second": second,
                    "floor": timed(lambda: container.exec(say).output(check=True)),
                }

        found = take_turns([Contender("pod", pod)], place.rounds)["pod"]
    limit = SHARE * found["first"].median
    yield Row("pod: first container", found["first"], "ms")
    yield Row(
        "pod: second container",
        found["second"],
        "ms",
        goal="< 1/5 of the first",
        limit=limit,
        floor=found["floor"],
        floor_name="exec",
    )
