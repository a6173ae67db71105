"""What a training of GRAFT compares: a body, or those of its vertices that the loss looks at."""

import functools
import pathlib
from typing import Any

import numpy as np
from flax import struct

from hoijax.body_models import BodyModel, free_body, load, subset
from hoijax.nets.graft import NUM_BETAS
from hoijax.systems.graft import BodySpec, body_spec


@struct.dataclass
class TrainingBodies:
    """What stays the same during a run: the bodies that are posed and compared."""

    spec: BodySpec
    model: BodyModel


@functools.lru_cache(maxsize=2)
def body_of(level: str, file: pathlib.Path | None) -> BodyModel:
    """The body that a network is trained or scored on: the free body, or SMPL-H or SMPL-X, absolute hands.

    Args:
      level: of detail of the free body.
      file: a file of SMPL-H or SMPL-X, or a folder with a neutral one, instead.

    Raises:
      InputError: see `hoijax.body_models.load`.
    """
    if file is None:
        return free_body(level)
    gender = "neutral" if file.is_dir() else None
    return load(file, gender=gender, num_betas=NUM_BETAS, num_expression=0, flat_hand_mean=True)


def training_bodies(config: Any) -> TrainingBodies:
    """The body of a run (`train.Config`), with the vertices of its loss."""
    model = body_of(config.body, config.body_model)
    spec = body_spec(model)
    if config.loss_vertices and config.loss_vertices < model.num_vertices:
        chosen = _loss_vertices(np.random.default_rng(config.seed), config, model, np.asarray(spec.contact_vertices))
        model = subset(model.replace(colors=None, landmarks=()), np.sort(chosen))
    return TrainingBodies(spec=spec, model=model.replace(faces=np.zeros((0, 3), np.int32)))


def _loss_vertices(rng: np.random.Generator, config: Any, model: BodyModel, contacts: np.ndarray) -> np.ndarray:
    first = rng.choice(contacts, min(len(contacts), round(config.contact_share * config.loss_vertices)), replace=False)
    rest = np.setdiff1d(np.arange(model.num_vertices), first)
    return np.concatenate([first, rng.choice(rest, config.loss_vertices - len(first), replace=False)])
