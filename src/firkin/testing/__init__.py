"""Fakes of what firkin talks to, and the checks that a fake and the real thing both pass."""
