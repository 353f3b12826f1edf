"""Holdfast keeps an organisation's audit trail.

It makes audit events durable in several independent regions before it acknowledges them, keeps them
readable while any one region lives, and proves that nothing was changed and nothing is missing.
ARCHITECTURE.md says where to start reading.
"""

__version__ = "0.1.0"
