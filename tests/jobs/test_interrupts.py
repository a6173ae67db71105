import os
import signal
import threading

import pytest

from hoijax.jobs.interrupts import Interrupts


@pytest.fixture(autouse=True)
def default_handler():
    """Python's own, which a process that a shell started in the background does not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Dying:
    """Takes a Ctrl-C where Python drops exceptions."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_drops_is_remembered():
    with Interrupts() as stop:
        stop.check()
        obj = Dying()
        del obj  # "Exception ignored in __del__"
        with pytest.raises(KeyboardInterrupt):
            stop.check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_others_handlers_and_threads_are_left_alone():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        with Interrupts() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            stop.check()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [1]

    def use():
        with Interrupts() as stop:
            stop.check()
        seen.append(2)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [1, 2]
