"""What the person at the screen is told: lines, and what each phase of a job took."""

import contextlib
import sys
import time
from collections.abc import Iterator

import tqdm


def tell(text: str) -> None:
    """One line on standard output, above a progress bar if there is one."""
    tqdm.tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()


class Phases:
    """Times the phases of a job and tells each when it ends, on a terminal or not; of the compiler's time apart."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        """Name to wall-clock seconds of the phases so far."""
        self._compiling = 0.0
        self._listening = False

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Times what runs inside and tells it, even if it fails.

        Args:
          name: what the line begins with.
        """
        self._listen()
        began, compiled = time.perf_counter(), self._compiling
        try:
            yield
        finally:
            spent, compiled = time.perf_counter() - began, self._compiling - compiled
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
            share = f" (compiling {compiled:.1f} s)" if compiled >= 0.05 else ""
            tell(f"{name}: {spent:.1f} s{share}")

    def _listen(self) -> None:
        if self._listening:
            return
        import jax

        def add(event: str, seconds: float, **_: object) -> None:
            if event == "/jax/core/compile/backend_compile_duration":
                self._compiling += seconds

        jax.monitoring.register_event_duration_secs_listener(add)
        self._listening = True
