"""A small witness (c2sp.org/tlog-witness): it cosigns checkpoints that only ever grew.

    request    what `add-checkpoint` is sent, and the signature line that is answered
    state      the last checkpoint of each log, durable before it is answered
    service    the HTTP face

It knows nothing of events, nodes or regions: any transparency log may be watched by it, and any
other witness may watch a trail.
"""
