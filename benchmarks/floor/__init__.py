"""The bare machine that a start is measured against: see benchmarks.floor.bare."""

from benchmarks.floor.bare import Bare, floor

__all__ = ["Bare", "floor"]
