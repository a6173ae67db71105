"""Every device metric keeps float32 when given float32; x64 is on, so a slip would show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hoijax.metrics as hm

RNG = np.random.default_rng(0)
A, B = RNG.random((2, 20, 3)).astype(np.float32)
WEIGHTS = RNG.random(20).astype(np.float32)

CALLS = {
    "chamfer_cm": lambda: hm.chamfer_cm(A, B),
    "surface_f_score": lambda: hm.surface_f_score(A, B, threshold=0.2),
    "procrustes_align_combined": lambda: hm.procrustes_align_combined(A, B, B, A).object,
    "mpjpe_mm": lambda: hm.mpjpe_mm(A, B, root=0, weights=WEIGHTS),
    "pa_mpjpe_mm": lambda: hm.pa_mpjpe_mm(A, B, weights=np.ones(20, bool)),
    "mpvpe_mm": lambda: hm.mpvpe_mm(A, B),
    "scene_displacement": lambda: hm.scene_displacement(A, B),
    "v2s_mm": lambda: hm.v2s_mm(A, B, WEIGHTS),
    "d2s_deg": lambda: hm.d2s_deg(A, B, WEIGHTS).degrees,
    "penetration_depth": lambda: hm.penetration_depth(WEIGHTS - 0.5).mean,
    "floor_distance": lambda: hm.floor_distance(A, gravity=(0.0, -1.0, 0.0), floor=0.1),
}


@pytest.mark.parametrize("name", CALLS)
def test_float32_in_float32_out(name):
    out = jax.jit(CALLS[name])()
    assert out.dtype == jnp.float32
    assert np.all(np.isfinite(out))
