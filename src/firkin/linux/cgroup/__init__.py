"""Control groups of the host's kernel, version 1 and 2: where ours are, one container's, limits, counts
(Documentation/admin-guide/cgroup-v1, cgroup-v2.rst).
"""
