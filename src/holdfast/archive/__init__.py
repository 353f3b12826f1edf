"""ARCHIVE: days of small segments become a few large objects, by which all proofs still hold."""
