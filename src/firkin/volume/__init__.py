"""Volumes: what containers keep beside their own disks, by name."""
