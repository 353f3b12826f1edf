"""Whether the server of these settings lives (/healthz), or is of use (/readyz): exit 0 or 1.

For the health check of a container, which has no curl. The settings are those that `holdfast serve`
reads from HOLDFAST_CONFIG and the environment.
"""

import os
import ssl
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path

from holdfast.settings import Settings, load

LOOPBACK = "127.0.0.1"
SECONDS = 5.0


def main(path: str, environ: Mapping[str, str]) -> int:
    """Ask once, and tell a person what was answered."""
    config = environ.get("HOLDFAST_CONFIG")
    connection = _connect(load(Path(config) if config else None, environ, {}))
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        told = f"{answer.status} {answer.read(4096).decode(errors='replace')}"
        good = answer.status == 200
    except (OSError, HTTPException) as error:
        told, good = f"no answer: {error}", False
    finally:
        connection.close()
    sys.stdout.write(f"{path}: {told}\n")
    return 0 if good else 1


def _connect(settings: Settings) -> HTTPConnection:
    """The certificate is made for a name that others use, and nothing secret is sent: unchecked."""
    if not settings.tls_certificate:
        return HTTPConnection(LOOPBACK, settings.port, timeout=SECONDS)
    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    return HTTPSConnection(LOOPBACK, settings.port, timeout=SECONDS, context=unchecked)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], os.environ))
