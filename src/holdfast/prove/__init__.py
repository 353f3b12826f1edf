"""Making what `holdfast.proof` checks, out of what the regions hold.

Nobody needs to trust what is made here: a proof is checked by whoever gets it.
"""
