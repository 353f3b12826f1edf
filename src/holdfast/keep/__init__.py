"""KEEP: compare what the regions hold, and copy what one of them lacks.

survey (list every region) -> drift (pure: what lacks where) -> repair (copy, never overwrite)
"""
