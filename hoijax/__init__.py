"""hoijax: 3D human-object interaction in JAX.

The names below are the front door; everything else stands in the packages, each of which lists its public names in
`__all__`: `geometry`, `camera`, `render`, `diffusion`, `interaction`, `metrics`, `io`, `language`, `viz`,
`body_models`, `nets`, `optim`, `data`, `systems`, `jobs`, `cli`, `experiments`. Both are imported when they are first
asked for, so that `import hoijax` costs next to nothing.
"""

import lazy_loader

__version__ = "0.2.0"

# What the front door holds stands once, in __init__.pyi, where type checkers and editors look too.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
