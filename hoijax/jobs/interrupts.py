"""Ctrl-C that cannot get lost."""

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """Remembers SIGINT while it is entered, besides raising KeyboardInterrupt as ever.

    Python drops an exception that is raised inside a garbage collector's callback or a destructor, and jax has both: an
    interrupt that comes just then would be lost. Long work calls `check` between its steps.
    """

    def __init__(self) -> None:
        self.seen = False
        self._before: Any = None

    def __enter__(self) -> "Interrupts":
        # Elsewhere handlers cannot be set, and one that somebody else has set is theirs.
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.seen = True
        signal.default_int_handler(number, frame)

    def check(self) -> None:
        """Raises KeyboardInterrupt if there was one."""
        if self.seen:
            raise KeyboardInterrupt
