"""Every loss keeps float32 when given float32, as it must on accelerators; x64 is on, so a slip would show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hoijax.interaction as hi
from hoijax.geometry import RigidPose, SDFGrid

RNG = np.random.default_rng(0)
BODY, OBJECT = RNG.random((20, 3)).astype(np.float32), RNG.random((7, 3)).astype(np.float32)
MASK, MASK_O = RNG.random(20) < 0.5, RNG.random(7) < 0.5
DISTANCE, REGIONS = RNG.random(20).astype(np.float32), RNG.random((3, 20)) < 0.5
SDF = SDFGrid(RNG.random((4, 4, 4)).astype(np.float32), np.zeros(3, np.float32), np.float32(0.3) * np.ones((), "f4"))
POSE = RigidPose.identity(dtype=jnp.float32)
DOWN = hi.GRAVITY_WORLD

CALLS = {
    "contact_distances": lambda: hi.contact_distances(BODY, OBJECT).body,
    "contact_loss": lambda: hi.contact_loss(BODY, OBJECT, MASK, MASK_O),
    "contact_probability": lambda: hi.contact_probability(DISTANCE),
    "hinge_loss": lambda: hi.hinge_loss(DISTANCE, mask=MASK, margin=0.1, reduction="mean"),
    "attraction_loss": lambda: hi.attraction_loss(DISTANCE, REGIONS, weights=np.ones(3), margin=0.01),
    "region_distances": lambda: hi.region_distances(DISTANCE, REGIONS),
    "smallest_mean": lambda: hi.smallest_mean(DISTANCE, MASK),
    "height": lambda: hi.height(BODY, DOWN),
    "lowest": lambda: hi.lowest(DISTANCE, temperature=0.01),
    "estimate_floor": lambda: hi.estimate_floor(BODY, DOWN, count=3),
    "floor_contact_loss": lambda: hi.floor_contact_loss(OBJECT, BODY, MASK_O, gravity=DOWN),
    "floor_contact_loss, known floor": lambda: hi.floor_contact_loss(OBJECT, BODY, MASK_O, gravity=DOWN, floor=0.1),
    "floor_penetration_loss": lambda: hi.floor_penetration_loss(BODY, gravity=DOWN, floor=0.5),
    "support_loss": lambda: hi.support_loss(BODY, gravity=DOWN, floor=0.5),
    "normal_loss": lambda: hi.normal_loss(BODY, BODY, OBJECT, OBJECT, body_mask=MASK),
    "object_sdf": lambda: hi.object_sdf(SDF, POSE, BODY),
    "depth_loss": lambda: hi.depth_loss(DISTANCE, mask=MASK, margin=0.1, power=2),
    "nearest_vertex_depth": lambda: hi.nearest_vertex_depth(OBJECT, BODY, BODY),
    "soft_penetration_loss": lambda: hi.soft_penetration_loss(OBJECT, BODY, BODY, object_mask=MASK_O),
    "released_penetration": lambda: hi.released_penetration(OBJECT, BODY, BODY),
    "propose_contacts": lambda: hi.propose_contacts(BODY, OBJECT, gravity=DOWN).floor,
    "propose_region_contacts": lambda: hi.propose_region_contacts(BODY, OBJECT, REGIONS, count=2).object,
}


@pytest.mark.parametrize("name", CALLS)
def test_float32_in_float32_out(name):
    out = jax.jit(CALLS[name])()
    assert out.dtype == jnp.float32
    assert np.all(np.isfinite(out))
