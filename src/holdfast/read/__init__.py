"""READ: from what lies in the regions to answers, and to a statement of what they rest on.

follow     list all regions, fetch and verify what is new           catalog, repeats: what is known
watermark  through when everything is known (pure)                  reader: the room's face
decode     records -> columns, facts of a segment                   ids, runs: where an id lies
fold       many small segments -> one sorted Parquet file           sources: what a search may read
search     pages and counts, by way of query (pure), sql, engine (DuckDB) and hot (decoded segments)
"""
