"""Strict numerics for the whole suite: hidden broadcasts, hidden casts and wrong shapes fail a test.

Float64 is on, so that gradients can be checked against finite differences; the library takes its dtype from its
inputs, and tests of the float32 path pass float32 arrays.
"""

import sys
import types

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

# Every annotated hoijax function checks the shapes and types it is given, where an int passes for a float as it does
# for static checkers (PEP 484). The hook takes its checker by name and must precede the first hoijax import.
sys.modules["_checker"] = types.ModuleType("_checker")
sys.modules["_checker"].check = beartype(conf=BeartypeConf(is_pep484_tower=True))
install_import_hook("hoijax", "_checker.check")

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
