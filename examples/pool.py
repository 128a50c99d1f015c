"""Machines that wait for their work: each answers once, and is gone."""

import firkin

with (
    firkin.Engine() as engine,
    engine.pool("busybox", ["sleep", "infinity"], ready=2, network="none") as pool,
):
    pool.filled()
    for word in ("one", "two", "three"):
        with pool.lease() as box:
            print(box.exec(["rev"], stdin=True).output(f"{word}\n", text=True).stdout, end="")
    print(f"{pool.stats.hit_rate:.0%} were ready")
