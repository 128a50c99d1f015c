"""One process a user that owns detached containers. It may die at any moment: the next one takes them over.

Started by engine.supervised when somebody needs it; `python -m firkin.supervisor DATA RUN` by hand.
"""
