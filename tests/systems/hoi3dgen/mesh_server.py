"""A server that speaks as Hunyuan3D-2's api_server.py does, and misbehaves as told; from `http.server`."""

import base64
import contextlib
import dataclasses
import http.server
import json
import threading
import time
from collections.abc import Iterator


@dataclasses.dataclass
class MeshScript:
    """What the server does, and what it was asked."""

    glb: bytes
    """What a finished job answers with."""
    waits: int = 1
    """Times that a job is "processing" before it is done."""
    stuck: bool = False
    """Jobs stay "processing"."""
    error: int | None = None
    """Status of every answer to /send."""
    failed: bool = False
    """Jobs end with the status "error"."""
    drop: int = 0
    """Connections that are closed without an answer, first."""
    delay: float = 0.0
    """Seconds before each answer."""
    text: bytes | None = None
    """Instead of every JSON answer."""
    bodies: list = dataclasses.field(default_factory=list)
    asked: list = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def mesh_server(script: MeshScript) -> Iterator[str]:
    """Runs the server on a free port of this machine and gives its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def answer(self, value, status=200):
            data = json.dumps(value).encode() if script.text is None else script.text
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(data)

        def hurt(self):
            script.asked.append(f"{self.command} {self.path.split('/')[1]}")
            time.sleep(script.delay)
            if script.drop > 0:
                script.drop -= 1
                self.close_connection = True
                self.connection.close()
                return True
            return False

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.hurt():
                return
            script.bodies.append(body)
            if script.error is not None:
                self.answer({"text": "NETWORK ERROR DUE TO HIGH TRAFFIC", "error_code": 1}, script.error)
            else:
                self.answer({"uid": "1234-abcd"})

        def do_GET(self):
            if self.hurt():
                return
            if script.stuck or script.waits > 0:
                script.waits -= 1
                self.answer({"status": "processing"})
            elif script.failed:
                self.answer({"status": "error", "message": "out of memory"})
            else:
                self.answer({"status": "completed", "model_base64": base64.b64encode(script.glb).decode()})

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
