"""Compiled programs: fast to run, fast to compile where little is run, plain where large; and those compiled ahead."""

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

QUICK: dict[str, Any] = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
"""What XLA leaves out on a CPU: a quarter of the time to compile, two to four times that to run. Results agree to
rounding."""


PLAIN: dict[str, Any] = {"xla_cpu_use_fusion_emitters": False}
"""XLA's older code generation on a CPU, for large programs that draw. In processor seconds, with it and without: the
search for an object compiles in 20 and 27 and runs in 5.2 and 6.8; an outline is followed by a program that compiles in
11 and 16 and runs in 0.8 and 0.6."""


@functools.cache
def quick_options() -> dict[str, Any] | None:
    """`QUICK`, if programs run on a CPU whose XLA knows it; else None, and programs are compiled as ever."""
    return _known(QUICK)


@functools.cache
def plain_options() -> dict[str, Any] | None:
    """`PLAIN`, likewise."""
    return _known(PLAIN)


def _known(options: dict[str, Any]) -> dict[str, Any] | None:
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda x: x + 1, compiler_options=options).lower(np.float32(0)).compile()
    except Exception:  # whatever an XLA says to options that it does not have
        return None
    return options


class Program:
    """A function that is compiled when it is first called, in the kind that the caller asks for."""

    def __init__(self, function: Callable[..., Any], static_argnums: Sequence[int] = (), plain: bool = False):
        """Nothing is compiled yet.

        Args:
          function: to be compiled.
          static_argnums: of `jax.jit`.
          plain: compile with `PLAIN` what is not compiled fast.
        """
        self._function, self._static, self._plain = function, tuple(static_argnums), plain
        self._kinds: dict[bool, Callable[..., Any]] = {}

    def __call__(self, *args: Any, quick: bool = False) -> Any:
        """What the function returns.

        Args:
          args: of the function.
          quick: compile it fast rather than well, where that is possible.
        """
        options = quick_options() if quick else None
        kind = options is not None
        if kind not in self._kinds:
            if not kind and self._plain:
                options = plain_options()
            self._kinds[kind] = jax.jit(self._function, static_argnums=self._static, compiler_options=options)
        return self._kinds[kind](*args)


class Ahead:
    """A jitted function that is compiled in a thread of its own while its caller does other things.

    Compilers use one core. A process ends when the thread has ended: one in a compiler cannot be left. What the thread
    cannot do, whatever it is, is left to the first call.
    """

    def __init__(self, function: Any, static: Mapping[str, Any], *args: Any, **named: Any):
        """Begins at once.

        Args:
          function: made by `jax.jit`.
          static: its static arguments, by their names.
          args: what else it will be called with: arrays, or `jax.ShapeDtypeStruct`s in their place.
          named: likewise, by names.
        """
        self._function, self._static = function, dict(static)
        self._compiled: Any = None
        self._thread = threading.Thread(target=self._compile, args=args, kwargs=named)
        self._thread.start()

    def _compile(self, *args: Any, **named: Any) -> None:
        try:
            self._compiled = self._function.lower(*args, **named, **self._static).compile()
        except Exception:  # the call raises it anew, and has a caller
            self._compiled = None

    def __call__(self, *args: Any, **named: Any) -> Any:
        """What the function returns; waits until it is compiled.

        Args:
          args: arrays of the shapes and types that were announced; for others it is compiled as ever.
          named: likewise.
        """
        self._thread.join()
        if self._compiled is not None:
            try:
                return self._compiled(*args, **named)
            except TypeError:  # other shapes or types than were announced
                self._compiled = None
        return self._function(*args, **named, **self._static)
