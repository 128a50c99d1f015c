"""Machines that were made ready beforehand, lent one by one, and never lent again."""
