"""The HTTP face: one way in for events, and everything that can be read.

`app` puts the pieces together: `ingest` (the raw path of POST /v1/events), `api` (everything else,
in Litestar), `auth` (who may), `problems`, `parameters`, `answers` (pure: what is said), `ui` (the
page at /). `protocol` bounds what a connection may do, `run` is the process.

Where there are several processes, `supervise` starts them, `writing` and `reading` are what they
do, `entrance` and `relay` what they say to each other; `process` is what all have in common.
"""
