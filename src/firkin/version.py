"""The version of firkin, and of the guest agent that comes with it."""

__version__ = "0.1.0"
