"""An HTTP/1.1 client for POST requests to providers: in the event loop's own thread, on httptools' parser.

    pool.py          connections to each origin, kept alive; opening one (addresses, TLS, the environment's proxies)
    connection.py    one connection
    response.py      the answer that comes over it
    origin.py        where a base URL leads, and the head of requests to it

Why not a larger client: docs/decisions/0018-a-client-of-our-own.md.
"""

from proxy.upstreams.http.origin import Headers
from proxy.upstreams.http.pool import Pool
from proxy.upstreams.http.response import Response

__all__ = ["Headers", "Pool", "Response"]
