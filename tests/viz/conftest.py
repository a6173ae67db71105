"""Chromium, if there is one, asked over its debugging pipe: waits for what the page does instead of for a clock."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *(
        "--headless",
        "--no-sandbox",
        "--remote-debugging-pipe",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
    ),
    *("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1000,1600"),
)
PATIENCE = 120  # seconds; a browser on a busy machine takes a minute to show its first frame


class Browser:
    """One page in one browser. Skips the test, saying why, where Chromium is absent or does not start."""

    def __init__(self, folder):
        if CHROMIUM is None:
            pytest.skip("no Chromium on this machine")
        pipes = [fd for _ in range(2) for fd in os.pipe()]
        reader, self.out, self.into, writer = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in pipes]
        for fd in pipes:
            os.close(fd)
        # The browser reads commands from descriptor 3 and answers on 4.
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        shell = ["bash", "-c", f'exec "$@" 3<&{reader} 4>&{writer} {reader}<&- {writer}>&-', "bash", *command]
        with open(folder / "log", "wb") as log:
            self.process = subprocess.Popen(shell, pass_fds=(reader, writer), stdout=log, stderr=log)
        os.close(reader)
        os.close(writer)
        self.log, self.buffer, self.number, self.session, self.events = folder / "log", b"", 0, {}, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = {"sessionId": self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}

    def call(self, method, **parameters):
        """The browser's answer to one command; whatever else it says is kept in `events`."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters} | self.session
        try:
            os.write(self.out, json.dumps(message).encode() + b"\0")
            while True:
                answer = json.loads(self._line(time.monotonic() + PATIENCE))
                if answer.get("id") == self.number:
                    assert "error" not in answer, answer
                    return answer["result"]
                self.events.append(answer)
        except (BrokenPipeError, EOFError, TimeoutError) as error:
            if self.session and isinstance(error, TimeoutError):
                raise  # it did start: the page hangs
            pytest.skip(f"Chromium does not run here: {self.log.read_text(errors='replace').strip()[-300:]}")

    def _line(self, deadline):
        while b"\0" not in self.buffer:
            if not select.select([self.into], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"Chromium was silent for {PATIENCE} seconds")
            data = os.read(self.into, 1 << 20)
            if not data:
                raise EOFError
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\0")
        return line

    def evaluate(self, expression):
        """The value of a JavaScript expression."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def load(self, address, ready):
        """Opens an address and waits until the expression `ready` is true."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=address)
        deadline = time.monotonic() + PATIENCE
        while not self.evaluate(ready):
            assert time.monotonic() < deadline, f"not true after {PATIENCE} seconds: {ready}"
            time.sleep(0.1)

    def said(self, *methods):
        """Parameters of the events of these kinds."""
        return [event["params"] for event in self.events if event.get("method") in methods]

    def screenshot(self, path):
        """What the window shows, as a PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        """Ends the browser."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.into)


@pytest.fixture(scope="session")
def open_browser():
    """The class above: conftest is no module that a test could import."""
    return Browser
