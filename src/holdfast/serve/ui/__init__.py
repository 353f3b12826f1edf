"""The console's pages, written on the server and whole without the script. Pure.

html       text into markup, everything escaped
words      what is said about completeness, and how figures are written
waterline  that, as every page begins with it
frame      what every page has: header, waterline, footer, keys
search     a page each, from a frozen view to bytes: search, start, event, regions, completeness,
           integrity, verifying, report
rows       events as lines of a table
curve      a figure over time; ladder: how far what was received has come
timeline   nodes as bars over time; heat: what was looked at, hour by hour
advice     what a reason means, and what to do about it; verified: what a verification found
"""
