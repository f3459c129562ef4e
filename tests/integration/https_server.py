"""A client's own HTTPS server, for the name localhost."""

import ssl
import threading
from contextlib import contextmanager
from http.server import ThreadingHTTPServer


@contextmanager
def https_server(handler, pem, **state):
    """On a free port, with a certificate and its key from a file, and a `url`; `state` is what `handler` finds in it as
    `self.server.…`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.url = f"https://localhost:{server.server_port}"
    vars(server).update(state)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
