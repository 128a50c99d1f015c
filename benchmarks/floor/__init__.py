"""The bare machines that firkin is measured against: benchmarks.floor.bare boots, benchmarks.floor.echo is
restored.
"""

from benchmarks.floor.bare import Bare, floor
from benchmarks.floor.echo import Echo, echoing

__all__ = ["Bare", "Echo", "echoing", "floor"]
