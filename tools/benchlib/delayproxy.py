"""A proxy for HTTP/1.1 on loopback that counts requests and holds each back for some time, as distance would.

Added latency, not a network: there is no bound on bandwidth, nothing is lost, and a connection is there at once. It forwards bytes as they
come and takes processor time of its own, which every contender pays alike.
"""

import socket
import threading
import time


class DelayProxy:
    """Before the server on `upstream`, until it is closed."""

    def __init__(self, upstream: int, seconds: float):
        self.upstream = upstream
        self.seconds = seconds
        self.requests: dict[str, int] = {}
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()

    def reset(self):
        with self._lock:
            self.requests = {}

    @property
    def count(self) -> int:
        with self._lock:
            return sum(self.requests.values())

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket):
        try:
            with client, socket.create_connection(("127.0.0.1", self.upstream)) as server:
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sent, answered = _Stream(client), _Stream(server)
                while self._exchange(sent, client, answered, server):
                    pass
        except OSError:
            pass

    def _exchange(self, sent, client, answered, server) -> bool:
        head = sent.head()
        if head is None:
            return False
        method = head.split(b" ", 1)[0].decode()
        with self._lock:
            self.requests[method] = self.requests.get(method, 0) + 1
        time.sleep(self.seconds)
        server.sendall(head)
        if b"expect: 100-continue" in head.lower():
            client.sendall(answered.head() or b"")
        sent.body(head, server)
        answer = answered.head()
        if answer is None:
            return False
        client.sendall(answer)
        if method != "HEAD" and answer.split(b" ", 2)[1] not in (b"204", b"304"):
            answered.body(answer, client)
        return b"\r\nconnection: close" not in answer.lower()


class _Stream:
    """Messages from one socket: heads are returned, bodies passed on."""

    def __init__(self, source: socket.socket):
        self._source = source
        self._held = b""
        self._space = memoryview(bytearray(1 << 18))

    def _fill(self) -> bool:
        got = self._source.recv(1 << 16)
        self._held += got
        return bool(got)

    def _until(self, mark: bytes) -> bytes | None:
        while (end := self._held.find(mark)) < 0:
            if not self._fill():
                return None
        taken, self._held = self._held[: end + len(mark)], self._held[end + len(mark) :]
        return taken

    def head(self) -> bytes | None:
        return self._until(b"\r\n\r\n")

    def body(self, head: bytes, to: socket.socket):
        fields = {}
        for line in head.lower().split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            fields[name] = value.strip()
        if fields.get(b"transfer-encoding") == b"chunked":
            while (line := self._until(b"\r\n")) is not None:
                to.sendall(line)
                size = int(line.split(b";")[0], 16)
                self._pass(size + 2, to)
                if size == 0:
                    return
        else:
            self._pass(int(fields.get(b"content-length", b"0")), to)

    def _pass(self, count: int, to: socket.socket):
        held, self._held = self._held[:count], self._held[count:]
        to.sendall(held)
        count -= len(held)
        while count > 0:
            got = self._source.recv_into(self._space[: min(count, len(self._space))])
            if got == 0:
                raise ConnectionError("ended early")
            to.sendall(self._space[:got])
            count -= got
