"""Watching ourselves: figures (`metrics`) and what they mean (`health`, pure)."""
