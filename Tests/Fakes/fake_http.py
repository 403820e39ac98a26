"""What the fakes of object stores have in common: requests, answers, objects in memory. Python's standard library only.

A fake checks everything that its provider's documents say is checked, and answers as they say. What passes on a fake is "emulated".
"""
import email.utils
import http.server
import socketserver
import threading
import time
import urllib.parse


class Refusal(Exception):
    """An answer that is an error: status, code, message."""

    def __init__(self, status, code, message="", headers=()):
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message or code, headers


class Answer:
    def __init__(self, status=200, body=b"", headers=()):
        self.status, self.body, self.headers = status, body, list(headers)


class Request:
    """A request as it came: the path is kept encoded, the query is decoded, names of headers are in lower case."""

    def __init__(self, method, target, headers, body):
        self.method, self.target, self.body = method, target, body
        self.path, _, self.raw_query = target.partition("?")
        self.pairs = urllib.parse.parse_qsl(self.raw_query, keep_blank_values=True, strict_parsing=False)
        self.query = dict(self.pairs)
        self.headers = {}
        for name, value in headers:
            name = name.lower()
            self.headers[name] = self.headers[name] + "," + value if name in self.headers else value
        self.parts = [urllib.parse.unquote(p) for p in self.path.lstrip("/").split("/")]

    def header(self, name, otherwise=""):
        return self.headers.get(name, otherwise)


class Object:
    counter = 1000

    def __init__(self, body, extra=None):
        Object.counter += 1
        self.body, self.extra = body, extra or {}
        self.modified = time.time()
        self.generation = int(self.modified * 1_000_000) * 1000 + Object.counter
        self.etag = '"0x%X"' % self.generation

    @property
    def http_date(self):
        return email.utils.formatdate(self.modified, usegmt=True)

    @property
    def iso_date(self):
        return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.modified))


def part(request, found, headers, name="range"):
    """The answer to a GET, with the range that is asked for (RFC 9110, section 14)."""
    if request.header("if-match") not in ("", "*", found.etag):
        raise Refusal(412, "ConditionNotMet")
    asked = request.header(name) or request.header("range")
    size = len(found.body)
    if asked.startswith("bytes="):
        first, _, last = asked[6:].partition("-")
        start = int(first) if first else max(0, size - int(last))
        end = min(int(last), size - 1) if first and last else size - 1
        if start >= size:
            raise Refusal(416, "InvalidRange", headers=[("Content-Range", f"bytes */{size}")])
        return Answer(206, found.body[start : end + 1], headers + [("Content-Range", f"bytes {start}-{end}/{size}")])
    return Answer(200, found.body, headers)


def listing(objects, prefix, delimiter, limit, after):
    """Names and folders in order, from behind `after`; and the last of them where there are more."""
    entries, seen = [], set()
    for name in sorted(objects):
        if not name.startswith(prefix):
            continue
        rest = name[len(prefix) :]
        if delimiter and delimiter in rest:
            folder = prefix + rest.split(delimiter)[0] + delimiter
            if folder in seen:
                continue
            seen.add(folder)
            entries.append((folder, None))
        else:
            entries.append((name, objects[name]))
    entries = [e for e in entries if not after or e[0] > after]
    more = len(entries) > limit
    return entries[:limit], entries[limit - 1][0] if more else None


def serve(port, answer, error):
    """Serves for ever: `answer` makes an Answer of a Request, `error` one of a Refusal."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 1 << 16

        def log_message(self, *_):
            pass

        def body(self):
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                chunks = []
                while True:
                    size = int(self.rfile.readline().split(b";")[0], 16)
                    chunks.append(self.rfile.read(size))
                    self.rfile.readline()
                    if size == 0:
                        return b"".join(chunks)
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            # Half a request is none.
            if len(body) < size:
                raise ConnectionError
            return body

        def handle_any(self):
            try:
                request = Request(self.command, self.path, self.headers.items(), self.body())
                try:
                    result = answer(request)
                except Refusal as refusal:
                    result = error(request, refusal)
            except (ConnectionError, ValueError, OSError):
                self.close_connection = True
                return
            self.send_response_only(result.status)
            names = {n.lower() for n, _ in result.headers}
            self.send_header("Date", email.utils.formatdate(usegmt=True))
            for name, value in result.headers:
                self.send_header(name, value)
            if "content-length" not in names:
                self.send_header("Content-Length", str(len(result.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(result.body)
            self.wfile.flush()

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = handle_any

    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_):
            pass

    return Server(("127.0.0.1", port), Handler)


lock = threading.RLock()
