"""The server that tests of other rooms share."""

from tests.serve.conftest import server

__all__ = ["server"]
