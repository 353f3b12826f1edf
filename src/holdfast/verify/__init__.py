"""VERIFY: say whether what the regions hold is what was written, and whether any of it is missing.

Anyone may run it, with no server alive, on any of the regions. It writes nothing and repairs
nothing. It listens to no other part of the product's reading: listings, notes and segments are
judged here again by the format alone (`proof`, `regions.layout`, `regions.segment`), so that a
mistake in the code that reads and repairs every day cannot hide itself. That independence is why
it walks the ledgers by itself.

    look      edge: regions, their notes, what is listed      evidence  what the notes say (pure)
    walk      a node's ledger by its names alone (pure)       contents  what a segment holds (pure)
    batch     edge: read copies of segments, judge them       run       all of it, and one report
    findings  what can be found, and what follows (pure)
"""
