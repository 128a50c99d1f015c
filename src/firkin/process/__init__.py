"""A process in a container: what to run, how to talk to it, how it ended.

spec      ProcessSpec, TerminalSize, ExitStatus     protocol      what every process shows
output    all that one writes, and its end          stdio         its streams, and a caller's descriptors
terminal  sizes, raw mode                           capabilities  Docker's default set
"""
