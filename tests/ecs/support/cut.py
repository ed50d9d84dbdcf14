"""A proxy of single requests before the members: it can look at answers, and lose one as a network or a dying member does."""

import http.client
import itertools
import socket
import threading
import urllib.parse


class Proxy:
    """Passes each request to the first of these endpoints that answers; to the next one each time where it `spreads`."""

    def __init__(self, endpoints, spreads=False):
        self.endpoints, self.spreads = endpoints, spreads
        self._turns = itertools.count()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()

    def answered(self, request, status, headers, body):
        """Whether an answer is passed on; the headers of the request, and what was answered."""
        return True

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as reader:
            try:
                while self._pass_one(connection, reader):
                    pass
            except (OSError, http.client.HTTPException):
                # No member answered: the client finds its connection closed, as it would without a proxy.
                pass

    def _pass_one(self, connection, reader):
        line = reader.readline().decode()
        if not line:
            return False
        request = http.client.parse_headers(reader)
        body = reader.read(int(request.get("Content-Length", 0)))
        method, path, _ = line.split()
        status, headers, text = self._ask(method, path, request, body)
        if not self.answered(request, status, dict(headers), text):
            return False
        lines = [f"HTTP/1.1 {status} x", *(f"{n}: {v}" for n, v in headers if n.lower() != "transfer-encoding")]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + text)
        return True

    def _ask(self, method, path, headers, body):
        first = next(self._turns) if self.spreads else 0
        for place in range(len(self.endpoints)):
            address = urllib.parse.urlparse(self.endpoints[(first + place) % len(self.endpoints)])
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


class Cut(Proxy):
    """Loses an answer when it is told to."""

    def __init__(self, endpoints):
        self.swallowed = 0
        self._before = None
        super().__init__(endpoints)

    def swallow(self, before=lambda: None):
        """The next answer does not arrive: `before` is called once it is there, and then the connection is closed."""
        self._before = before

    def answered(self, request, status, headers, body):
        before, self._before = self._before, None
        if before is None:
            return True
        before()
        self.swallowed += 1
        return False
