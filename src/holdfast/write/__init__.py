"""WRITE: from a request to an acknowledgement.

    admit -> batch -> seal -> replicate -> count -> acknowledge

`admit`, `law`, `strict` and `record` say what an event is and what is stored for it, `seal` makes
the segment. They are pure: bytes in, events or a precise refusal out.
"""
