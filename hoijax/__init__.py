"""hoijax: 3D human-object interaction in JAX.

The packages, from the bottom up: `geometry`, `camera`, `render`, `diffusion`, `interaction`, `metrics`, `io`,
`body_models`, `nets`, `optim`, `data`, `experiments`, `viz`, `cli`. Each lists its public names in `__all__`.
"""

__version__ = "0.1.0"
