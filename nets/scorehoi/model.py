"""Both of ScoreHOI's networks as one module: what `hoijax.systems.scorehoi.run` takes."""

import dataclasses
import pathlib

from flax import nnx

from hoijax.nets import weights
from hoijax.nets.scorehoi.denoiser import Denoiser, DenoiserConfig, make_denoiser
from hoijax.nets.scorehoi.regressor import RegressorConfig, ScoreHOIRegressor
from hoijax.nets.scorehoi.sizes import sizes_of


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of both networks; the published ones by default."""

    regressor: RegressorConfig = dataclasses.field(default_factory=RegressorConfig)
    """The first stage, with contact predictor and mesh refiner."""
    denoiser: DenoiserConfig = dataclasses.field(default_factory=DenoiserConfig)
    """The second stage, under the first's features."""

    @classmethod
    def of_size(cls, size: str, attention: str = "ip_adapter") -> "Config":
        """A named size, see `sizes_of`.

        Raises:
          InputError: no such size or attention.
        """
        return cls(*sizes_of(size, attention))


class Model(nnx.Module):
    """The regressor and the denoiser that was trained under it."""

    def __init__(self, config: Config, rngs: nnx.Rngs):
        self.regressor = ScoreHOIRegressor(config.regressor, rngs)
        self.denoiser = make_denoiser(config.denoiser, rngs)


class _Filled(Model):
    """A model of networks that exist."""

    def __init__(self, regressor: ScoreHOIRegressor, denoiser: Denoiser):
        self.regressor, self.denoiser = regressor, denoiser


def load(regressor: pathlib.Path | None = None, denoiser: pathlib.Path | None = None) -> Model:
    """Both networks in evaluation mode.

    Args:
      regressor: a file of its weights; None: the shipped one.
      denoiser: likewise.

    Raises:
      InputError: no such file, or weights of another network.
    """
    return _Filled(weights.load("scorehoi_regressor", regressor)[0], weights.load("scorehoi_denoiser", denoiser)[0])
