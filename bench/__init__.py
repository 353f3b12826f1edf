"""Holdfast measured on this machine, also against others: `python -m bench`, or `make bench`.

A *part* measures one question: `measure(ground)` gives a `Part` with tables, findings and samples.
Each is kept as `results/<part>.json`, and docs/BENCH.md is written from those files alone.

| module | what |
| --- | --- |
| `parts` | the parts by name |
| `events` | a seeded stream of audit events with realistic sizes and cardinalities |
| `processes` | CPU and memory of a whole process tree; pinning to a core |
| `server`, `load` | our server as a process, and the bounded client that loads it |
| `postgres` | a temporary cluster, its audit table, and the three ways to fill it |
| `tracing` | what a server asks of its disks, by strace |
| `nats`, `rsyslog`, `pipe` | others' servers, and one connection with many messages under way |
| `plan` | how much is measured, and what every part is handed |
| `report`, `results`, `page` | what a part says; kept as JSON; shown as docs/BENCH.md |
| `trails`, `requests` | a trail made without waiting for it; requests as a bucket bills them |
| `scale`, `scale_reading`, `scale_writing` | how cost grows: `python -m bench.scale` |
| `versus` | two commits compared in turns: `python -m bench.versus COMMIT` |
| `profile` | where the time goes: `python -m bench.profile ingest`, docs/PROFILE.md |
| `costs`, `scale_page` | what follows, by formulas and prices; docs/SCALE.md |
"""
