"""SEND: the HTTP client. It needs the standard library alone, so an application can carry it."""
