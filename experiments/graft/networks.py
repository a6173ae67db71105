"""The networks that are trained: sizes, the full mode with its own encoder, beginning with earlier weights."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from hoijax.errors import InputError
from hoijax.experiments.graft.samples import PicturePair
from hoijax.nets.graft import PATCH, Graft, GraftConfig, GraftWithEncoder, ImageEncoder, load_graft
from hoijax.systems.graft import ImageFeatures

SIZES: dict[str, Callable[[], GraftConfig]] = {
    "small": GraftConfig.small,
    "full": GraftConfig.geometry_only,
    # Small, with what the first shipped weights lacked: scale about the pelvis, told where the pose is held.
    "pelvis": lambda: dataclasses.replace(GraftConfig.small(), pivot="pelvis", held=True),
    # Small, but made as the paper's: to measure what hoijax does otherwise.
    "plain": lambda: dataclasses.replace(
        GraftConfig.small(), bandwidth=(1.0, 1.0), heights=False, gate=False, units=(1.0, 1.0, 1.0, 1.0)
    ),
    # Learns nothing worth having, in seconds.
    "tiny": lambda: GraftConfig(
        width=16,
        layers=1,
        heads=2,
        feedforward=16,
        fourier=8,
        probe_hidden=8,
        probe_features=8,
        head_hidden=8,
        visual=False,
    ),
}
SIDE = 224
"""Side of the images of the full mode, pixels."""


def sizes_of(size: str, visual: bool) -> GraftConfig:
    """The sizes of a network by the name in `SIZES`; the full mode looks at hoijax's own encoder."""
    sizes = SIZES[size]()
    return dataclasses.replace(sizes, visual=True, feature_widths=(32, 32)) if visual else sizes


def make_network(sizes: GraftConfig, rngs: nnx.Rngs) -> nnx.Module:
    """A network with random weights: `Graft`, or for the full mode `GraftWithEncoder`."""
    network = Graft(sizes, rngs)
    return GraftWithEncoder(network, rngs) if sizes.visual else network


@functools.partial(jax.jit, static_argnums=(0, 1))
def random_weights(sizes: GraftConfig, seed: int) -> Any:
    """The state of `make_network`, compiled once for all runs of a process."""
    return nnx.state(make_network(sizes, nnx.Rngs(seed)), nnx.Param)


def with_encoder(graft: Graft, encoder: ImageEncoder) -> GraftWithEncoder:
    """A trained network of the full mode and its trained encoder as one."""
    both = nnx.eval_shape(lambda: GraftWithEncoder(Graft(graft.config, nnx.Rngs(0)), nnx.Rngs(0)))
    both.graft, both.encoder = graft, encoder
    return both


def start_weights(weights: Any, path: pathlib.Path, sizes: GraftConfig) -> Any:
    """Weights with those of a file in their place.

    A full network takes a geometry-only one's too; its attention to images then begins with a share of zero in the
    answers, which are the same at first.

    Args:
      weights: the state of `make_network`.
      path: a file of `save_graft`.
      sizes: of the network that is begun.

    Raises:
      InputError: the file's network has other sizes, or looks at images and this one does not.
    """
    earlier = load_graft(path)[0]
    looks = earlier.config.visual
    # What the scale acts about is another meaning of the same weights; what is told to a held body begins at nothing.
    known = dataclasses.replace(earlier.config, pivot=sizes.pivot, held=sizes.held)
    same = dataclasses.replace(known, visual=sizes.visual, feature_widths=sizes.feature_widths) == sizes
    same = same and earlier.config.held <= sizes.held
    if not same or (looks and known != sizes):
        raise InputError(f"{path} holds a network of other sizes than the one to be trained")
    flat, trained = (dict(nnx.to_flat_state(x)) for x in (weights, nnx.state(earlier, nnx.Param)))
    for key, leaf in flat.items():
        name = key[1:] if key[0] == "graft" else key
        if name in trained:
            flat[key] = leaf.replace(jnp.asarray(trained[name][...]))
        elif not looks and "cross_attention" in name and "out" in name:
            flat[key] = leaf.replace(jnp.zeros_like(leaf[...]))
    return nnx.from_flat_state(flat)


def features_of(network: GraftWithEncoder, pictures: PicturePair) -> ImageFeatures:
    """What the network sees of one sample's images."""
    pair = jnp.asarray(pictures.pair).astype(jnp.float32) / 255.0
    return ImageFeatures(fused=network.fuse(pair), intrinsics=jnp.asarray(pictures.intrinsics), patch=float(PATCH))
