"""ScoreHOI's networks by size, the body they see, and both stages read from files of weights."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from hoijax.body_models import BodyModel, free_body, load, resample_vertices
from hoijax.body_models.resampling import NUM_RESAMPLED
from hoijax.errors import InputError
from hoijax.nets import weights
from hoijax.nets.blocks.pointnext import PointNeXt
from hoijax.nets.scorehoi import SIZES, Denoiser, ReleasedDenoiser, ScoreHOIRegressor, fold, sizes_of
from hoijax.nets.scorehoi.sizes import POINT_NUMBERS, pointnext_config
from hoijax.nets.scorehoi.state import NUM_BETAS, BetasRange
from hoijax.nets.weights import Tensors
from hoijax.systems.scorehoi import GuidedBody, guided_body
from hoijax.systems.scorehoi.inputs import Layout, default_betas_range, geometry_feature

__all__ = ["SIZES", "BodyConfig", "Networks", "load_networks", "sizes_of"]

Describe = Callable[[Float[np.ndarray, "P 3"]], Float[np.ndarray, "E"]]


@dataclasses.dataclass(frozen=True)
class BodyConfig:
    """The body that is posed in the losses."""

    level: str = "default"
    """Level of detail of the free body; SynthHOI's contact labels are of "default"."""
    vertices: int = 431
    """K, how many of its vertices the networks see."""
    file: pathlib.Path | None = None
    """Of SMPL-H, or a folder with its neutral file, instead of the free body."""
    flat_hand_mean: bool = True
    """Whether hand poses of SMPL-H are absolute; the authors' are relative to MANO's mean hand."""

    def model(self) -> BodyModel:
        """The body.

        Raises:
          InputError: the file cannot be used.
        """
        if self.file is None:
            return free_body(self.level)
        gender = "neutral" if self.file.is_dir() else None
        return load(self.file, kind="smplh", gender=gender, num_betas=NUM_BETAS, flat_hand_mean=self.flat_hand_mean)


@dataclasses.dataclass(frozen=True)
class Networks:
    """One seed's networks and the body they see."""

    regressor: ScoreHOIRegressor
    denoiser: Denoiser
    model: BodyModel
    body: GuidedBody
    layout: Layout
    focal: float
    """Of the regressor's camera."""
    describe: Describe
    """The numbers that describe an object to the networks, of its template points (64, 3): these and a feature of
    their shape."""


def load_networks(regressor: pathlib.Path, denoiser: pathlib.Path, body_model: pathlib.Path | None = None) -> Networks:
    """The networks of two files of weights.

    Args:
      regressor: of stage 1.
      denoiser: of stage 2, trained under it.
      body_model: file or folder of SMPL-H, for networks that were trained on it.

    Raises:
      InputError: weights of another stage, or that do not go together, or the body is missing.
    """
    opened = [weights.open_tensors(path) for path in (regressor, denoiser)]
    facts = [weights.read_facts(path) for path in (regressor, denoiser)]
    for path, kept, stage, name in zip((regressor, denoiser), facts, (1, 2), ("regressor", "denoiser")):
        if kept.get("stage") != stage:
            raise InputError(f"{path} is not of stage {stage} of ScoreHOI's training, as --{name} must be")
    first, second = facts
    if first.get("size") != second.get("size"):
        raise InputError(
            f"the networks are of sizes {first.get('size')} and {second.get('size')}; the denoiser must be trained "
            "under this regressor"
        )
    parts = sizes_of(first.get("size"))[0].hand4whole
    if (first.get("body", "free") == "free") != (body_model is None):
        wanted = "leave --body-model out" if body_model else "give --body-model, the file or folder of SMPL-H"
        raise InputError(f"{regressor} is of networks that see the {first.get('body', 'free')} body: {wanted}")
    betas = _betas_range(denoiser, second)
    describe = _descriptor(regressor, first, weights.companion(opened[0], "pointnext"), parts.object_features)
    count = first.get("vertices", NUM_RESAMPLED)
    body = BodyConfig(first.get("level", "default"), count, body_model, first.get("flat_hand_mean", True))
    model = body.model()
    guided, ids = _guided_body(model, count, weights.companion(opened[0], "resampling"), betas)
    networks = [weights.load(name, path)[0] for name, path in
                (("scorehoi_regressor", regressor), ("scorehoi_denoiser", denoiser))]  # fmt: skip
    if isinstance(networks[1], ReleasedDenoiser):
        networks[1] = fold(networks[1])  # the same function for a tenth of the work
    return Networks(
        *networks,
        model,
        guided,
        Layout(model, ids, crop=parts.crop, geometry=parts.object_features - POINT_NUMBERS),
        parts.focal,
        describe,
    )


def _betas_range(path: pathlib.Path, facts: Mapping[str, Any]) -> BetasRange:
    """By which range the denoiser's betas are normalised."""
    if "betas_range" not in facts:
        return default_betas_range()
    if facts["betas_range"] is None:
        raise InputError(
            f"{path} does not say by which range its betas are normalised: convert it again with --base-data, the "
            "authors' folder with betas_stats.pkl"
        )
    try:
        low, high = (np.asarray(facts["betas_range"][name], np.float32) for name in ("low", "high"))
        if low.shape != (NUM_BETAS,) or high.shape != low.shape or not np.all(low < high):
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: its range of betas is not {NUM_BETAS} lower and as many higher numbers") from error
    return BetasRange(low=low, high=high)


def _descriptor(path: pathlib.Path, facts: Mapping[str, Any], encoder: Tensors, numbers: int) -> Describe:
    """What describes an object to the regressor of a file."""
    if facts.get("geometry") != "pointnext":
        return lambda points: np.concatenate([
            points.ravel(), geometry_feature(points, numbers - POINT_NUMBERS)
        ]).astype(np.float32)  # fmt: skip
    if not len(encoder):
        raise InputError(
            f"{path} is of a network that sees objects through PointNeXt, which is not in it: convert it again with "
            "--pointnext, openpoints' checkpoint of PointNeXt-S trained on ModelNet40 (docs/weights.md)"
        )
    network = weights.fill(lambda rngs: PointNeXt(pointnext_config(facts), rngs), encoder, where=f"PointNeXt in {path}")
    graph, state = nnx.split(network)
    run = jax.jit(lambda state, points: nnx.merge(graph, state)(points[None])[0])

    def describe(points: np.ndarray) -> np.ndarray:
        feature = np.asarray(run(state, jnp.asarray(points, jnp.float32)))
        return np.concatenate([points.ravel(), feature]).astype(np.float32)

    return describe


def _guided_body(
    model: BodyModel, vertices: int, matrices: Tensors, betas: BetasRange
) -> tuple[GuidedBody, np.ndarray]:
    """The body with the matrices of a file, or with hoijax's own, and which vertices they pick."""
    if not len(matrices):
        resampled = resample_vertices(model, vertices)
        return guided_body(model, resampled, betas), resampled.ids
    down, up = matrices["down"], matrices["up"]
    return guided_body(model, down, betas, up), np.argmax(down, axis=1)
