"""The HTTP face: one way in for events, and everything that can be read.

`app` puts the pieces together: `ingest` (the raw path of POST /v1/events), `api` (everything else,
in Litestar), `auth` (who may), `problems`, `parameters`, `answers` (pure: what is said), `ui` (the
page at /). `protocol` bounds what a connection may do, `run` is the process.
"""
