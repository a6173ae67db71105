"""Small networks with weights and inputs that NumPy alone rebuilds: the two sides of each comparison start here.

`CASES` has hoijax's network of each name; `references.py` has what `diffusers` and `transformers` make of the same
weights, under their names; `answers.npz` holds what they answered (`python tests/nets/generative/references.py`).
"""

import dataclasses
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from flax import nnx

from hoijax.nets import sana, weights
from hoijax.nets.sana import checkpoints as sana_files

SANA = sana.SanaConfig(width=64, depth=2, head_width=32, cross_heads=4, text_channels=48, hidden=160,
                       latent_channels=8, norm=False)  # fmt: skip
SANA_NORMED = dataclasses.replace(SANA, norm=True, depth=1)
DC_AE = sana.AutoencoderDCConfig(channels=(32, 32, 64, 64, 64, 64), encoder_depths=(1,) * 6, decoder_depths=(1,) * 6,
                                 latent_channels=16, scaling=1.0)  # fmt: skip
GEMMA = sana.Gemma2Config(vocabulary=128, width=64, depth=2, heads=4, groups=2, head_width=16, hidden=128,
                          query_width=16, window=4, cap=0.5)  # fmt: skip


def draw(name: str, *shape: int) -> np.ndarray:
    """Normal numbers of a name, float32."""
    rng = np.random.Generator(np.random.PCG64([7, zlib.crc32(name.encode())]))
    return rng.standard_normal(shape, np.float32)


def weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Near one for scales, near zero for biases, else of a variance that keeps that of what comes in."""
    noise = draw(key, *shape)
    if len(shape) < 2:
        return 0.1 * noise + np.float32(key.endswith("weight"))
    return noise * np.float32(np.prod(shape[1:]) ** -0.5)


@dataclasses.dataclass(frozen=True)
class Case:
    """One network and one call of it."""

    build: Callable[[nnx.Rngs], nnx.Module]
    inputs: dict[str, np.ndarray]
    rules: tuple[weights.Rule, ...] = ()
    method: str = "__call__"
    more: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Options that are no arrays."""

    def state_dict(self) -> dict[str, np.ndarray]:
        """The checkpoint."""
        keys = weights.published_keys(nnx.eval_shape(lambda: self.build(nnx.Rngs(0))), self.rules)
        return {key: weight(key, shape) for key, shape in keys.items()}

    def network(self) -> nnx.Module:
        """Ours with the checkpoint's weights, strictly."""
        module = weights.abstract(self.build)
        weights.load_state_dict(module, self.state_dict(), rules=self.rules)
        return module


def mask(*lengths: int, size: int) -> np.ndarray:
    """Texts of these lengths, padded to the right."""
    return np.arange(size)[None] < np.array(lengths)[:, None]


def _sana(config: sana.SanaConfig, batch: int, height: int, width: int) -> Case:
    inputs = {
        "latent": draw("latent", batch, height, width, config.latent_channels),
        "time": np.array([999.0, 37.0, 500.0], np.float32)[:batch],
        "text": draw("text", batch, 7, config.text_channels),
        "mask": mask(7, 4, 1, size=7)[:batch],
    }
    return Case(lambda rngs: sana.Sana(config, rngs), inputs, sana_files.DIFFUSERS)


def _dc_ae(rngs: nnx.Rngs) -> nnx.Module:
    return sana.AutoencoderDC(DC_AE, rngs)


CASES = {
    "sana": _sana(SANA, 2, 6, 10),
    "sana_normed": _sana(SANA_NORMED, 3, 4, 4),
    "dc_ae_encode": Case(_dc_ae, {"pictures": draw("pictures", 1, 64, 96, 3)}, method="encode"),
    "dc_ae_decode": Case(_dc_ae, {"latents": draw("latents", 1, 2, 3, 16)}, method="decode"),
    "gemma": Case(
        lambda rngs: sana.Gemma2(GEMMA, rngs),
        {"tokens": np.arange(24).reshape(2, 12) * 5 % 128, "mask": mask(12, 7, size=12)},
        sana_files.GEMMA,
    ),
}
