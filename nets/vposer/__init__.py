"""VPoser (Pavlakos et al. 2019): a variational autoencoder of body poses, both published versions."""

from hoijax.nets.vposer.checkpoints import load
from hoijax.nets.vposer.model import Config, Model, pose_energy

__all__ = ["Config", "Model", "load", "pose_energy"]
