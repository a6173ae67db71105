"""A page on this machine answers this machine's own pages only.

A websocket is not bound by the browser's same-origin rule: any page that a person has open may connect to
`ws://localhost:PORT`, and a name that an attacker lets point to 127.0.0.1 passes for the page's own host (DNS
rebinding). Both show in the headers of the handshake, which viser does not look at.
"""

import contextlib
import functools
import http
import http.client
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_LOCAL = ("localhost", "127.0.0.1", "::1")


def is_local_request(headers: Mapping[str, str]) -> bool:
    """Whether a request comes from a page of this very server, or from no page at all.

    Args:
      headers: of the request; `Host` must name this machine, and `Origin`, which browsers send with every websocket,
        must be the same host and port.
    """
    host = headers.get("Host", "")
    if _host_name(f"//{host}") not in _LOCAL:
        return False
    origin = headers.get("Origin")
    if origin is None:
        return True
    return origin.startswith(("http://", "https://")) and origin.partition("//")[2].lower() == host.lower()


@contextlib.contextmanager
def local_only() -> Iterator[None]:
    """Servers that the `websockets` library starts inside this block answer 403 to strangers.

    viser has no option for it; it starts its server with `websockets.asyncio.server.serve` while it is constructed.
    """
    import websockets.asyncio.server as library

    serve = library.serve

    @functools.wraps(serve)
    def guarded(*args: Any, process_request: Callable | None = None, **options: Any) -> Any:
        def check(connection: Any, request: Any) -> Any:
            if not is_local_request(request.headers):
                return connection.respond(http.HTTPStatus.FORBIDDEN, "this page answers its own machine only\n")
            return None if process_request is None else process_request(connection, request)

        return serve(*args, process_request=check, **options)

    library.serve = guarded
    try:
        yield
    finally:
        library.serve = serve


def refuses_strangers(port: int) -> bool:
    """Whether the server at a port of this machine turns a foreign page's websocket away."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "aG9pamF4IGFza3MgaXRzZQ==",
        "Origin": "http://stranger.invalid",
    }
    try:
        connection.request("GET", "/", headers=headers)
        return connection.getresponse().status == http.HTTPStatus.FORBIDDEN
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _host_name(address: str) -> str | None:
    try:
        return urllib.parse.urlsplit(address).hostname
    except ValueError:
        return None
