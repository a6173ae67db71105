"""Image features for GRAFT's full mode: what a provider such as MapAnything gives, from an `.npz`, and fused once.

| key | what |
|---|---|
| `features_0`, `features_1`, ... | token maps (2, h, w, C) of one level each, of the image without the people and of the original; GRAFT takes MapAnything's output of the ViT, two intermediate layers of the alternating transformer and its last |
| `intrinsics` | (3, 3), pixels of the images that the tokens were made of |
| `patch` | pixels per token; 14 if it is not there |

hoijax's own provider is `hoijax.nets.graft.ImageEncoder`.
"""  # noqa: E501 - a table

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Float

from hoijax.errors import InputError
from hoijax.io import read_npz
from hoijax.io.files import PathLike
from hoijax.nets.graft import PATCH, Graft
from hoijax.systems.graft.probes import ImageFeatures

_LIMIT = 2 << 30

ArrayLike = jax.Array | np.ndarray


@struct.dataclass
class FeatureMaps:
    """What a provider says about one image pair, before GRAFT's network fuses it."""

    levels: tuple[Float[ArrayLike, "2 h w _"], ...]
    """One array for each level; first the image without the people, then the original."""
    intrinsics: Float[ArrayLike, "3 3"]
    """Pixels."""
    patch: float = struct.field(pytree_node=False, default=float(PATCH))
    """Pixels per token."""


def read_features(path: PathLike) -> FeatureMaps:
    """Reads a provider's features; see the module's table. Leading axes of size one are dropped.

    Raises:
      InputError: no such file, no features in it, or arrays that do not fit together.
    """
    path = pathlib.Path(path)
    arrays = read_npz(path, kinds="biuf", limit=_LIMIT)
    levels = []
    while f"features_{len(levels)}" in arrays:
        level = np.asarray(arrays[f"features_{len(levels)}"], np.float32)
        levels.append(level[0] if level.ndim == 5 and len(level) == 1 else level)
    if not levels or "intrinsics" not in arrays:
        raise InputError(
            f"{path}: no features in it; wanted features_0, features_1, ... (2, h, w, channels) and intrinsics; it has "
            f"{', '.join(sorted(arrays)) or 'nothing'}"
        )
    for number, level in enumerate(levels):
        if level.ndim != 4 or level.shape[:3] != (2, *levels[0].shape[1:3]):
            raise InputError(
                f"{path}: features_{number} has the shape {level.shape}, wanted (2, h, w, channels) with one h and w "
                f"for all levels; features_0 has {levels[0].shape}"
            )
        if not np.isfinite(level).all():
            raise InputError(f"{path}: features_{number} holds numbers that are not finite")
    intrinsics = np.asarray(arrays["intrinsics"], np.float32).squeeze()
    if intrinsics.shape != (3, 3):
        raise InputError(f"{path}: intrinsics have the shape {arrays['intrinsics'].shape}, wanted (3, 3)")
    patch = np.asarray(arrays.get("patch", PATCH))
    if patch.size != 1 or not 0 < float(patch.reshape(-1)[0]) < 1e4:
        raise InputError(f"{path}: patch is {patch!r:.80}, wanted one positive number, the pixels per token")
    if not np.isfinite(intrinsics).all() or not (intrinsics[0, 0] > 0 and intrinsics[1, 1] > 0):
        raise InputError(f"{path}: intrinsics are no camera's, the focal lengths are {np.diag(intrinsics)[:2]}")
    return FeatureMaps(levels=tuple(levels), intrinsics=intrinsics, patch=float(patch.reshape(-1)[0]))


def fuse_features(network: Graft, maps: FeatureMaps) -> ImageFeatures:
    """The maps that `rollout` and `refine_people` look at, made once per image pair.

    Args:
      network: of the full mode.
      maps: of one image pair.

    Raises:
      InputError: a geometry-only network, or another number of levels or channels than it was built for.
    """
    if not network.config.visual:
        raise InputError("this GRAFT network was built without image features; leave them out")
    got, want = tuple(level.shape[-1] for level in maps.levels), network.config.feature_widths
    if got != want:
        raise InputError(f"the image features have {got} channels per level, the network was trained with {want}")
    fused = network.fusion(maps.levels)
    return ImageFeatures(fused=fused, intrinsics=jnp.asarray(maps.intrinsics), patch=maps.patch)
