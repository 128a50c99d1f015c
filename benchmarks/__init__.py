"""firkin against the floor and its peers, in one run: `./dev bench`.

Each group of contenders takes turns (A B A B ...), because a shared machine drifts: two medians from
different minutes do not compare.
"""
