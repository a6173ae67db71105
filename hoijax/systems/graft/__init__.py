"""GRAFT's refinement (arXiv 2604.19624): bodies, scenes and probes around the network of `hoijax.nets.graft`."""

from hoijax.optim.fields import (
    Probed,
    ScenePoints,
    estimate_normals,
    make_scene,
    normals_of_point_map,
    on_rim,
    probe,
    straight_ahead,
)
from hoijax.systems.graft.align import align_head, head_depth
from hoijax.systems.graft.body import BodySpec, body_spec, default_probe_vertices, scale_center, trained_probes
from hoijax.systems.graft.estimates import PeopleEstimate, SceneEstimate, read_people, read_scene_estimate
from hoijax.systems.graft.features import FeatureMaps, fuse_features, read_features
from hoijax.systems.graft.icp import contact_model, similarity_icp
from hoijax.systems.graft.probes import Anchors, ImageFeatures, anchors, network_inputs, probe_points, visual_context
from hoijax.systems.graft.rollout import Rollout, RolloutOptions, refine_people, rollout
from hoijax.systems.graft.state import (
    SCALE_RANGE,
    UPDATE_PRESETS,
    GraftState,
    UpdateMask,
    apply_similarity,
    apply_update,
    fold_scale,
    fold_state,
    pose_graft_state,
)
from hoijax.systems.graft.system import Prepared, Result, prepare, run

__all__ = [
    "SCALE_RANGE",
    "UPDATE_PRESETS",
    "Anchors",
    "BodySpec",
    "FeatureMaps",
    "GraftState",
    "ImageFeatures",
    "PeopleEstimate",
    "Prepared",
    "Probed",
    "Result",
    "Rollout",
    "RolloutOptions",
    "SceneEstimate",
    "ScenePoints",
    "UpdateMask",
    "align_head",
    "anchors",
    "apply_similarity",
    "apply_update",
    "body_spec",
    "contact_model",
    "default_probe_vertices",
    "estimate_normals",
    "fold_scale",
    "fold_state",
    "fuse_features",
    "head_depth",
    "make_scene",
    "network_inputs",
    "normals_of_point_map",
    "on_rim",
    "pose_graft_state",
    "prepare",
    "probe",
    "probe_points",
    "read_features",
    "read_people",
    "read_scene_estimate",
    "refine_people",
    "rollout",
    "run",
    "scale_center",
    "similarity_icp",
    "straight_ahead",
    "trained_probes",
    "visual_context",
]
