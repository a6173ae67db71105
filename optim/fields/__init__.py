"""What is prepared once for every refiner: a body, an object, a scene.

Each is made on the host and is a pytree whose shapes do not depend on the mesh or cloud it came from. ScoreHOI and
GRAFT look at few vertices of a body: theirs is `hoijax.body_models.subset` of it (`GuidedBody`, `BodySpec`), which
costs a sixteenth. Every object begins as `hoijax.interaction.ObjectTemplate`.
"""

from hoijax.optim.fields.body import BodyField, body_field
from hoijax.optim.fields.object import SDF_RESOLUTION, ObjectField, facing_air, object_field
from hoijax.optim.fields.scene import (
    Probed,
    ScenePoints,
    estimate_normals,
    make_scene,
    normals_of_point_map,
    on_rim,
    probe,
    straight_ahead,
)

__all__ = [
    "SDF_RESOLUTION",
    "BodyField",
    "ObjectField",
    "Probed",
    "ScenePoints",
    "body_field",
    "estimate_normals",
    "facing_air",
    "make_scene",
    "normals_of_point_map",
    "object_field",
    "on_rim",
    "probe",
    "straight_ahead",
]
