"""The page at /: read-only, whole without a script, written on the server.

html    text into markup, everything escaped
words   what is said about completeness (pure)
page    the page (pure)
"""
