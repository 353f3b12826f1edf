"""Holdfast measured against PostgreSQL on this machine: `python -m bench`, or `make bench`.

| module | what |
| --- | --- |
| `events` | a seeded stream of audit events with realistic sizes and cardinalities |
| `processes` | CPU and memory of a whole process tree; pinning to a core |
| `server`, `load` | our server as a process, and the bounded client that loads it |
| `postgres` | a temporary cluster, its audit table, and the three ways to fill it |
| `throughput`, `latency`, `growth` | the experiments, each returning findings |
| `report` | medians, spread, verdicts; the table and the JSON |
"""
