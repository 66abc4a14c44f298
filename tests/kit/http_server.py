"""A web server on loopback whose every answer a test writes itself, broken ones too."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


class LoopbackServer:
    """Serves `answers` by path and counts what was asked for; a context manager."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.requests.append(self.path)
                answer = owner.answers.get(self.path)
                if answer is None:
                    self.send_error(404)
                else:
                    answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self._server.server_address[1]}{path}"

    def __enter__(self) -> "LoopbackServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def body(
    content: bytes,
    *,
    content_type: str = "application/octet-stream",
    announced: int | None = -1,
    before_body: Callable[[], None] = lambda: None,
) -> Answer:
    """An answer with this content; `announced` is the Content-Length (-1: the true one, None: not given)."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", content_type)
        if announced is not None:
            handler.send_header("Content-Length", str(len(content) if announced == -1 else announced))
        handler.end_headers()
        before_body()
        handler.wfile.write(content)
        handler.wfile.flush()

    return answer
