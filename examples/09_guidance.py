"""Diffusion as a prior, a loss as guidance: samples of two Gaussians, drawn towards a line.

The score is exact, so the answer is known: unguided samples fill both modes, guided ones end on the line. The same two
calls guide bodies and objects in `hoijax.systems.scorehoi`.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from PIL import Image

from hoijax.diffusion import Guidance, cosine_schedule, ddim_sample, time_grid

MODES = np.array([[-2.0, 0.0], [2.0, 0.0]])
WIDTH = 0.3


def main(out: pathlib.Path = pathlib.Path("examples_out/09"), count: int = 256, small: bool = False) -> dict:
    """Samples with and without guidance."""
    schedule = cosine_schedule()
    times = time_grid(990, 90 if small else 15)

    def noise(x: jax.Array, t: jax.Array) -> jax.Array:
        """The noise that the exact score of the mixture implies."""
        signal = jnp.sqrt(jnp.asarray(schedule.alphas_cumprod)[t])
        variance = signal**2 * WIDTH**2 + 1 - signal**2
        away = x[:, None] - signal * MODES
        weights = jax.nn.softmax(-jnp.sum(away**2, -1) / (2 * variance), axis=1)
        return jnp.sqrt(1 - signal**2) * jnp.einsum("nk,nkd->nd", weights, away) / variance

    start = jax.random.normal(jax.random.key(0), (count, 2))
    free = ddim_sample(noise, start, schedule, times).x0
    towards = Guidance(loss=lambda x0: 2 * jnp.sum((x0[:, 1] - 0.5) ** 2), last=600)
    guided = ddim_sample(noise, start, schedule, times, guidance=towards).x0
    heights = {"free": np.asarray(free[:, 1]), "guided": np.asarray(guided[:, 1])}
    print({name: f"{y.mean():.2f} +- {y.std():.2f}" for name, y in heights.items()})
    out.mkdir(parents=True, exist_ok=True)
    np.savez(out / "samples.npz", free=free, guided=guided)
    counts = [np.histogram2d(-x[:, 1], x[:, 0], 60, ((-2, 2), (-4, 4)))[0] for x in map(np.asarray, (free, guided))]
    grey = np.uint8(255 * np.clip(1 - np.concatenate(counts, axis=1) / 3, 0, 1))
    Image.fromarray(grey).resize((960, 480), Image.Resampling.NEAREST).save(out / "samples.png")
    return {name: float(y.mean()) for name, y in heights.items()} | {"modes": np.sign(np.asarray(free[:, 0]))}


if __name__ == "__main__":
    tyro.cli(main)
