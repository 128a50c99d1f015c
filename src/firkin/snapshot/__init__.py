"""What is on disk for one snapshot of a container: its record, its name, its place in the tree."""
