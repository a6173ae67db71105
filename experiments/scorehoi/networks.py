"""The networks of two trained stages with the body they see."""

import dataclasses
import pathlib

from hoijax.body_models import BodyModel, resample_vertices
from hoijax.errors import InputError
from hoijax.experiments.scorehoi.samples import Layout, betas_range
from hoijax.experiments.scorehoi.stages import BodyConfig, sizes_of
from hoijax.experiments.scorehoi.weights import load_network, read_facts
from hoijax.nets.scorehoi import Denoiser, ScoreHOIRegressor, make_denoiser
from hoijax.optim.guided import GuidedBody, guided_body


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
        guided_body(model, resampled, betas_range()),
        Layout(model, resampled.ids, crop=parts.crop, geometry=parts.object_features - 64 * 3),
        parts.focal,
    )
