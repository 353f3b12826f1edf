"""Other systems' events become ours, and files become events.

    files.read -> pieces of a file -> formats.map_piece -> events to send

Mapping is pure: the bytes of one event in, one event of ours as a line of JSON out. The original is
always kept as `payload`, whatever it looks like; the mapped fields are for finding it again.
"""
