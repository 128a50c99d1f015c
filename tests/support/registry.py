"""Moved to firkin.pytest.registry."""

from firkin.pytest.registry import Registry as Registry
from firkin.pytest.registry import running_registry as running_registry
