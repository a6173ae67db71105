"""What the photograph networks cost one core: LiteRT with one thread, ours, and ours without one kind of its layers.

CPU time of one thread is the work that a call is, whatever else the machine does; it shows neither how well the work
is shared between cores nor how long a caller waits. Each network is measured in a process of its own that is held to
one core, the sides turn by turn. A kind of layers is left out by something of the same shape that costs next to
nothing: the difference is what these layers and what is fused with them take.
"""

import contextlib
import importlib
import inspect
import multiprocessing
import os
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hoijax.nets import blaze
from hoijax.nets.blaze import layers

_USERS = ("trunk", "detector", "landmarker")


def measure_one_core(
    name: str, function: str, side: int, packages: pathlib.Path | None, calls: int
) -> dict[str, float] | None:
    """Least CPU milliseconds of a call, of every side.

    Args:
      name: of the network's weights.
      function: of `hoijax.nets.blaze`, of weights and pictures.
      side: of the picture, pixels.
      packages: folder of the published files; None: LiteRT is left out.
      calls: of each side.

    Returns:
      By "hoijax", "without ..." and "LiteRT"; None where a process cannot be held to a core.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    with multiprocessing.get_context("spawn").Pool(1, initializer=_hold_to_one_core) as pool:
        return pool.apply(_measure, (name, function, side, packages, calls))


def _hold_to_one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before JAX makes its threads


def _measure(name: str, function: str, side: int, packages: pathlib.Path | None, calls: int) -> dict[str, float]:
    network = getattr(blaze, function)
    params = jax.device_put({key: np.asarray(value) for key, value in blaze.load(name).items()})
    picture = np.random.default_rng(0).random((1, side, side, 3), dtype=np.float32)
    sides = {"hoijax": compile_without(None, network, params, picture)}
    sides |= {f"without {kind}": compile_without(kind, network, params, picture) for kind in WITHOUT}
    if packages is not None:
        sides["LiteRT"] = _litert(name, packages, picture)
    spent: dict[str, list[float]] = {which: [] for which in sides}
    for _ in range(calls + 1):
        for which, call in sides.items():
            began = time.process_time()
            jax.block_until_ready(call())
            spent[which].append(1e3 * (time.process_time() - began))
    return {which: round(min(times[1:]), 2) for which, times in spent.items()}


def compile_without(
    kind: str | None, network: Callable[..., Any], params: layers.Params, picture: jax.Array | np.ndarray
) -> Callable[[], Any]:
    """The network's compiled call without a kind of layers.

    Args:
      kind: of `WITHOUT`; None leaves nothing out.
      network: of weights and pictures.
      params: its weights.
      picture: (1, S, S, 3).
    """
    inner = inspect.unwrap(network)
    with contextlib.ExitStack() as stack:
        if kind is not None:
            left_out, instead = WITHOUT[kind]
            for user in _USERS:
                module = importlib.import_module(f"hoijax.nets.blaze.{user}")
                stack.enter_context(mock.patch.object(module, left_out, instead))
        # A function of its own: JAX must not know it as one that it has traced with all layers.
        compiled = jax.jit(lambda params, picture: inner(params, picture)).lower(params, picture).compile()
    return lambda: compiled(params, picture)


def _pick_pixels(
    params: layers.Params, name: str, x: jax.Array, *, stride: int = 1, padding: layers.Padding = "same"
) -> jax.Array:
    """In the place of a filter per channel."""
    kernel, bias = jnp.asarray(params[f"{name}.kernel"]), jnp.asarray(params[f"{name}.bias"])
    return x[:, ::stride, ::stride] * kernel[0, 0][None, None, None] + bias[None, None, None]


def _repeat_channels(
    params: layers.Params, name: str, x: jax.Array, *, stride: int = 1, padding: layers.Padding = "same"
) -> jax.Array:
    """In the place of a 1 x 1 product; other convolutions are made."""
    kernel, bias = jnp.asarray(params[f"{name}.kernel"]), jnp.asarray(params[f"{name}.bias"])
    if kernel.shape[:2] != (1, 1):
        return layers.conv(params, name, x, stride=stride, padding=padding)
    narrow, wide = kernel.shape[2:]
    many = jnp.concatenate([x] * -(-wide // narrow), axis=-1)[..., :wide]
    # Written to memory as a product is: fused into the filter that follows it would be made anew for each of its taps.
    return lax.optimization_barrier(many * kernel[0, 0, 0][None, None, None] + bias[None, None, None])


WITHOUT = {"filters per channel": ("depthwise", _pick_pixels), "1 x 1 products": ("conv", _repeat_channels)}
"""Kinds of layers that are left out in turn: the function of `layers` that makes them, and what takes its place."""


def shares(row: Mapping[str, float]) -> dict[str, float]:
    """Share of our time that goes with each kind of layers."""
    return {kind: 1 - row[f"without {kind}"] / row["hoijax"] for kind in WITHOUT}


def markdown(rows: Mapping[str, Mapping[str, float]], where: str) -> str:
    """The section of all networks; `where` names the machine."""
    lines = ["network | LiteRT, ms | hoijax, ms | ratio | " + " | ".join(WITHOUT), " | ".join(["---"] * 6)]
    for name, row in rows.items():
        rival = [f"{row['LiteRT']:.1f}", f"{row['LiteRT'] / row['hoijax']:.2f}"] if "LiteRT" in row else ["", ""]
        parts = [f"{100 * share:.0f} %" if share > 0 else "not known" for share in shares(row).values()]
        lines.append(" | ".join([name, rival[0], f"{row['hoijax']:.1f}", rival[1], *parts]))
    return (
        f"## Work of one core\n\n{where}. Least CPU time of a call on one core with one thread, sides turn by turn, "
        "and the share of ours that goes with a kind of layers (`hoijax.experiments.benchmarks.one_core`); not known "
        "where what takes their place costs more.\n\n" + "\n".join(f"| {line} |" for line in lines) + "\n"
    )


def _litert(name: str, packages: pathlib.Path, picture: np.ndarray) -> Callable[[], Any]:
    """LiteRT's call with one thread; the tools are no part of the package and are found from the repository's root."""
    sys.path.insert(0, str(pathlib.Path.cwd()))
    from tools.blaze.answers import litert
    from tools.blaze.sources import fetch

    run, _ = litert(fetch(name, packages), threads=1)
    return lambda: run(picture[0])
