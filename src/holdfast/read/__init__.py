"""READ: from what lies in the regions to answers, and to a statement of what they rest on.

reader     the room's face                         tail      a query followed live
passes     from a look at the regions to a judgement of it
follow     list all regions, verify what nodes say; ledgers, shown: what was seen so far
watermark  through when everything is known (pure)

archives   what manifests and floors say; archive: which units to adopt (pure); adopting: do so
stack      what was adopted; partfiles: its files in the cache; evidence, contents: for proofs

holdings   what is held on the own disk, in step; slot: the folder that it has for itself
fetch      segments' bytes, from whichever region has them     catalog   rows, in SQLite
repeats    which of several records of one event is shown      comparing: what that takes
shelf      what a search reads
ids, runs  where an id lies                                    jobs, compute: work for processes

decode     records -> columns, facts of a segment              sources   where events lie
fold       many small segments -> one sorted Parquet file
search     pages and counts, by way of query (pure), sql, engine (DuckDB), hot (decoded segments)
counting   counts that are asked again: of what came since alone
"""
