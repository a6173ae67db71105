"""What a training of GRAFT compares: the free body, or those of its vertices that the loss looks at."""

from typing import Any

import numpy as np
from flax import struct

from hoijax.body_models import BodyModel, free_body, subset
from hoijax.optim.graft import BodySpec, body_spec


@struct.dataclass
class Problem:
    """What stays the same during a run: the bodies that are posed and compared."""

    spec: BodySpec
    model: BodyModel


def make_problem(config: Any) -> Problem:
    """The free body of a run (`train.Config`), with the vertices of its loss."""
    model = free_body(config.body)
    spec = body_spec(model)
    if config.loss_vertices and config.loss_vertices < model.num_vertices:
        chosen = _loss_vertices(np.random.default_rng(config.seed), config, model, np.asarray(spec.contact_vertices))
        model = subset(model.replace(colors=None, landmarks=()), np.sort(chosen))
    return Problem(spec=spec, model=model.replace(faces=np.zeros((0, 3), np.int32)))


def _loss_vertices(rng: np.random.Generator, config: Any, model: BodyModel, contacts: np.ndarray) -> np.ndarray:
    first = rng.choice(contacts, min(len(contacts), round(config.contact_share * config.loss_vertices)), replace=False)
    rest = np.setdiff1d(np.arange(model.num_vertices), first)
    return np.concatenate([first, rng.choice(rest, config.loss_vertices - len(first), replace=False)])
