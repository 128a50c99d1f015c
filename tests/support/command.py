"""Moved to firkin.pytest.command."""

from firkin.pytest.command import FIRKIN as FIRKIN
from firkin.pytest.command import Command as Command
from firkin.pytest.command import Ended as Ended
