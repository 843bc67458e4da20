"""A service on loopback that answers by turns: what a test says, over HTTP."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKENS = {"input_tokens": 1000, "output_tokens": 10}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers["content-length"])
        self.server.asked.append((self.path, dict(self.headers), json.loads(self.rfile.read(length))))
        status, headers, body = (
            self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        )
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@contextmanager
def serving():
    """A service on loopback: `answers` (status, headers, body) in turn, the last one again; `asked` is what came."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.answers, server.asked = [], []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def says(text):
    """Return the answer of a model, in Anthropic's words, that says a text and ends its turn."""
    return 200, {}, {"content": [{"type": "text", "text": text}], "usage": TOKENS}
