"""Namespaces of the host's kernel in place of a machine: the same agent, in user, mount, pid, network, uts
and ipc namespaces of its own (docs/design/namespaces.md).
"""
