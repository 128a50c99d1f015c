"""Several machines at once, from asyncio."""

import asyncio

import firkin


async def main() -> None:
    async with firkin.AsyncEngine() as engine:
        outputs = await asyncio.gather(
            *(engine.run("busybox", ["expr", str(n), "*", str(n)]).output(text=True) for n in range(3))
        )
        print([int(output.stdout) for output in outputs])


asyncio.run(main())
