"""A chat-completions server on loopback for tests, which answers with what a test gives it."""

import contextlib
import http.server
import json
import threading
import time


def completion(text):
    """The body of a well-formed answer."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "made-up", "choices": [choice]}


@contextlib.contextmanager
def chat_server(answer):
    """Runs a server; gives its base URL and the list of requests it has had.

    Args:
      answer: from the request's JSON to a reply's text, bytes sent as they are, a status number, or seconds (float) to
        sleep before an empty answer.
    """
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append({"path": self.path, "key": self.headers["Authorization"], **body})
            given = answer(body)
            if isinstance(given, float):
                time.sleep(given)
                given = ""
            status = given if isinstance(given, int) else 200
            if isinstance(given, int):
                given = {"error": {"message": f"made up: {status}"}}
            elif isinstance(given, str):
                given = completion(given)
            sent = given if isinstance(given, bytes) else json.dumps(given).encode()
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
