"""Parametric bodies as pure functions: SMPL, SMPL-H, SMPL-X, MANO and the licence-free body."""

from hoijax.body_models.free_body import (
    FREE_BODY_LEVELS,
    FREE_BODY_PALETTE,
    free_body,
    free_body_betas,
    free_body_colors,
    free_body_mirror,
    free_body_regions,
    require_vertex_values,
)
from hoijax.body_models.free_poses import NAMED_HAND_POSES, NAMED_POSES, named_hand_pose, named_pose
from hoijax.body_models.keypoints import find_landmarks, keypoint_names, keypoints
from hoijax.body_models.limits import JointLimits, joint_limit_penalty, joint_limits
from hoijax.body_models.loading import load, save
from hoijax.body_models.model import BodyModel, PosedBody
from hoijax.body_models.params import POSE_GROUPS, BodyParams
from hoijax.body_models.parts import (
    PARTS_15,
    PARTS_24,
    contact_regions,
    part_labels,
    part_names,
    scene_contact_vertices,
)
from hoijax.body_models.posing import PosedJoints, pose_body, pose_body_compiled, pose_joints, subset
from hoijax.body_models.resampling import NUM_RESAMPLED, Resampling, resample_vertices, selected_vertices
from hoijax.body_models.skeleton import JOINT_NAMES, PARENTS, forward_kinematics, kinematic_levels, mano_joints

__all__ = [
    "FREE_BODY_LEVELS",
    "FREE_BODY_PALETTE",
    "JOINT_NAMES",
    "NAMED_HAND_POSES",
    "NAMED_POSES",
    "NUM_RESAMPLED",
    "PARENTS",
    "PARTS_15",
    "PARTS_24",
    "POSE_GROUPS",
    "BodyModel",
    "BodyParams",
    "JointLimits",
    "PosedBody",
    "PosedJoints",
    "Resampling",
    "contact_regions",
    "find_landmarks",
    "forward_kinematics",
    "free_body",
    "free_body_betas",
    "free_body_colors",
    "free_body_mirror",
    "free_body_regions",
    "joint_limit_penalty",
    "joint_limits",
    "keypoint_names",
    "keypoints",
    "kinematic_levels",
    "load",
    "mano_joints",
    "named_hand_pose",
    "named_pose",
    "part_labels",
    "part_names",
    "pose_body",
    "pose_body_compiled",
    "pose_joints",
    "require_vertex_values",
    "resample_vertices",
    "save",
    "scene_contact_vertices",
    "selected_vertices",
    "subset",
]
