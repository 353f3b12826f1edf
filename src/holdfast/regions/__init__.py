"""STORE: regions, and everything that speaks to a vendor or a disk.

    port        what may be asked of a store, and every answer it can give
    directory   a store in a directory, fsynced; `disk` and `threads` are what it stands on
    cloud       a store behind obstore
    region      two stores under a time-out, a bound and a `breaker`; all of them: `Regions`
    layout      where each object lies; `kinds` and `segment`: what it holds; `signing` makes notes
    cosignature what a witness states of a checkpoint
    cookie      who a store is: cookies, and the look that a count rests on
    sets        which regions so much has to lie in, or to be looked for in
    whole       which stores show all that their regions should
    joining     new stores: a region is added, or gets another store
    founding    how a trail comes into being; `trailkey` is its key's file
    clock       how far a region's clock is from ours

A store never raises for what the world does to it.
"""

from holdfast.regions.region import Region
from holdfast.regions.regions import Regions

__all__ = ["Region", "Regions"]
