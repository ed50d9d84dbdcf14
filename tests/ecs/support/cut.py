"""A proxy of one request at a time that can swallow an answer, as a network or a dying member does."""

import http.client
import socket
import threading
import urllib.parse


class Cut:
    """Stands before members, in this order. `swallow` says what is done before the next answer is thrown away."""

    def __init__(self, endpoints):
        self.endpoints = endpoints
        self.swallowed = 0
        self._before = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()

    def swallow(self, before=lambda: None):
        """The next answer does not arrive: `before` is called once it is there, and then the connection is closed."""
        self._before = before

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as reader:
            while self._pass_one(connection, reader):
                pass

    def _pass_one(self, connection, reader):
        line = reader.readline().decode()
        if not line:
            return False
        headers = http.client.parse_headers(reader)
        body = reader.read(int(headers.get("Content-Length", 0)))
        method, path, _ = line.split()
        status, answered, text = self._ask(method, path, headers, body)
        before, self._before = self._before, None
        if before is not None:
            before()
            self.swallowed += 1
            return False
        lines = [f"HTTP/1.1 {status} x", *(f"{n}: {v}" for n, v in answered if n.lower() != "transfer-encoding")]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + text)
        return True

    def _ask(self, method, path, headers, body):
        for endpoint in self.endpoints:
            address = urllib.parse.urlparse(endpoint)
            member = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
            try:
                member.request(method, path, body, dict(headers.items()))
                answer = member.getresponse()
                return answer.status, answer.getheaders(), answer.read()
            except (OSError, http.client.HTTPException) as error:
                failure = error
            finally:
                member.close()
        raise failure
