"""Moved to firkin.pytest.leaks."""

from firkin.pytest.leaks import SUPERVISOR as SUPERVISOR
from firkin.pytest.leaks import Leftover as Leftover
from firkin.pytest.leaks import dismiss_supervisor as dismiss_supervisor
from firkin.pytest.leaks import end_leftovers as end_leftovers
from firkin.pytest.leaks import mounts_of as mounts_of
from firkin.pytest.leaks import processes_of as processes_of
from firkin.pytest.leaks import wait_until_gone as wait_until_gone
