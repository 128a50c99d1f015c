"""What is on disk for one container: its record, its states, its log and its name."""
