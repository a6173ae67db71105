"""ScoreHOI's networks by size, the body they see, and both stages read from files of weights."""

import dataclasses
import pathlib

from hoijax.body_models import BodyModel, free_body, load, resample_vertices
from hoijax.errors import InputError
from hoijax.nets.scorehoi import (
    MODES,
    ConditionalDenoiserConfig,
    Denoiser,
    DenoiserConfig,
    Hand4WholeConfig,
    PooledDenoiserConfig,
    RegressorConfig,
    ScoreHOIRegressor,
    make_denoiser,
)
from hoijax.nets.scorehoi.state import NUM_BETAS
from hoijax.systems.scorehoi import GuidedBody, guided_body
from hoijax.systems.scorehoi.inputs import Layout, default_betas_range
from hoijax.systems.scorehoi.weights import load_network, read_facts


def _tiny() -> tuple[RegressorConfig, DenoiserConfig]:
    parts = Hand4WholeConfig(
        crop=128, blocks=(1, 1, 1, 1), channels=4, box_width=4, joint_width=4, object_features=64 * 3 + 8
    )
    denoiser = ConditionalDenoiserConfig(
        width=16, depth=1, heads=1, image_features=parts.features, image_tokens=4, object_features=8
    )
    return RegressorConfig(parts, object_width=16, token=13, depth=1), DenoiserConfig(ip_adapter=denoiser)


SIZES = {
    "tiny": _tiny,
    "small": lambda: (RegressorConfig.small(), DenoiserConfig.small()),
    "full": lambda: (RegressorConfig(), DenoiserConfig()),
}
"""Networks by name; "tiny" learns nothing worth having, in seconds."""


def sizes_of(size: str, attention: str = "ip_adapter") -> tuple[RegressorConfig, DenoiserConfig]:
    """The networks of a size, the denoiser in one of its attention modes, fitted to the regressor's features.

    Raises:
      InputError: no such size or mode.
    """
    if size not in SIZES or attention not in MODES:
        raise InputError(
            f"wanted a size of {', '.join(SIZES)} and an attention of {', '.join(MODES)}; got {size!r}, {attention!r}"
        )
    regressor, denoiser = SIZES[size]()
    parts = regressor.hand4whole
    pooled = PooledDenoiserConfig(image_features=parts.features, object_features=parts.object_features - 3 * 64)
    return regressor, dataclasses.replace(denoiser, attention_mode=attention, pooled=pooled)


@dataclasses.dataclass(frozen=True)
class BodyConfig:
    """The body that is posed in the losses."""

    level: str = "default"
    """Level of detail of the free body; SynthHOI's contact labels are of "default"."""
    vertices: int = 431
    """K, how many of its vertices the networks see."""
    file: pathlib.Path | None = None
    """Of SMPL-H, or a folder with its neutral file, instead of the free body."""

    def model(self) -> BodyModel:
        """The body; hand poses of SMPL-H are absolute.

        Raises:
          InputError: the file cannot be used.
        """
        if self.file is None:
            return free_body(self.level)
        gender = "neutral" if self.file.is_dir() else None
        return load(self.file, kind="smplh", gender=gender, num_betas=NUM_BETAS, flat_hand_mean=True)


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


def load_networks(regressor: pathlib.Path, denoiser: pathlib.Path, body_model: pathlib.Path | None = None) -> Networks:
    """The networks of two files of weights.

    Args:
      regressor: of stage 1.
      denoiser: of stage 2, trained under it.
      body_model: file or folder of SMPL-H, for networks that were trained on it.

    Raises:
      InputError: weights of another stage, or that do not go together, or the body is missing.
    """
    facts = [read_facts(path) for path in (regressor, denoiser)]
    for path, found, stage, name in zip((regressor, denoiser), facts, (1, 2), ("regressor", "denoiser")):
        if found.get("stage") != stage:
            raise InputError(f"{path} is not of stage {stage} of ScoreHOI's training, as --{name} must be")
    if facts[0]["size"] != facts[1]["size"]:
        raise InputError(
            f"the networks are of sizes {facts[0]['size']} and {facts[1]['size']}; the denoiser must be trained under "
            "this regressor"
        )
    sizes = sizes_of(facts[0]["size"], facts[1].get("attention", "ip_adapter"))
    if (facts[0].get("body", "free") == "free") != (body_model is None):
        wanted = "leave --body-model out" if body_model else "give --body-model, the file or folder of SMPL-H"
        raise InputError(f"{regressor} is of networks that see the {facts[0].get('body', 'free')} body: {wanted}")
    model = BodyConfig(facts[0]["level"], facts[0]["vertices"], body_model).model()
    resampled = resample_vertices(model, facts[0]["vertices"])
    parts = sizes[0].hand4whole
    return Networks(
        load_network(regressor, lambda rngs: ScoreHOIRegressor(sizes[0], rngs)),
        load_network(denoiser, lambda rngs: make_denoiser(sizes[1], rngs)),
        model,
        guided_body(model, resampled, default_betas_range()),
        Layout(model, resampled.ids, crop=parts.crop, geometry=parts.object_features - 64 * 3),
        parts.focal,
    )
