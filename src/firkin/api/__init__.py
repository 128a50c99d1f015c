"""The Python API behind `firkin/__init__`: the engine with friendly words, asynchronous and blocking.

async_engine  AsyncEngine      async_container  AsyncContainer      async_process  AsyncProcess
engine        Engine           container        Container           process        Process
streams       readers and writers of a process's streams, asynchronous; engine.loop makes them blocking
starting      what run() and exec() of the asynchronous API give before it is awaited
"""
