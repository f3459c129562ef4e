"""A relay of TCP connections: what is behind it may be cut off, and another server be put in its place."""

import contextlib
import socket
import threading


class Relay:
    """As a context. `port` of 127.0.0.1 leads to the server at `target`, a port too; None: nobody answers, and what was
    open hangs, as behind a cable that is out."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.pairs = []
        self.silent = threading.Event()  # while it is set, not a byte is handed on
        self.accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self.accepting.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)  # or accept() would hold on to it
        self.accepting.join()
        self.listener.close()
        self._hang_up()

    def cut(self):
        """From now on nobody hears anything."""
        self.silent.set()

    def lead_to(self, target):
        """To that server from now on; what was open is closed."""
        self.target = target
        self._hang_up()
        self.silent.clear()

    def _hang_up(self):
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self._connect(near)

    def _connect(self, near):
        if self.silent.is_set():
            with self.lock:
                self.pairs.append((near,))
            return
        try:
            far = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            near.close()
            return
        with self.lock:
            self.pairs.append((near, far))
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                if self.silent.is_set():
                    return  # and neither side learns of it
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
