"""RESTORE: bring a range of the trail back from one region alone, check all of it, let it go again.

That a region has every object says little until somebody has read them with nothing else at hand.
So every hour a server takes a day and a region at random, and does what a person would who has lost
all others: names, bytes and statements come from there, and are checked by the rules of outsiders,
from the records up to a root that the node signed. The reader only says afterwards whether it knows
the same events, and hands over the hashes of the rest of a ledger's tree, which prove themselves.

    choice   which day of which region (pure)        ranges    what a day consists of there
    opened   what was brought back holds (workers)   bring     edge: one range, from one region
    kept     what was restored when                  restorer  the job, and its report
"""
