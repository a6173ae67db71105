"""Bodies from pictures: any body model fitted to named landmarks in pixels and metres, to keypoint files, to outlines.

The unknowns are counted in standard deviations of a prior (`prior`, `unknowns`), residuals in standard deviations of
what was seen (`residuals`), so the normal matrix of Levenberg-Marquardt (`least_squares`, which says why it is hoijax's
own and not a package's) is the inverse of the answer's covariance. Everything is float32, of fixed shape, without host
callbacks: `jit`, `vmap`, any device.

    observation = observe_mediapipe(landmarks, visibility, metric, image_size=(height, width))
    body = prepare_body(free_body(), observation.names)
    fit = fit_people(body, observation, choose_intrinsics((height, width), path="photo.jpg"))
    fit.source, fit.joints, fit.joint_std
"""

from hoijax.optim.fitting.contact_align import (
    AlignConfig,
    ContactClouds,
    align_contacts,
    contact_clouds,
    legacy_align,
)
from hoijax.optim.fitting.intrinsics import (
    Intrinsics,
    choose_intrinsics,
    estimated_intrinsics,
    exif_intrinsics,
    given_intrinsics,
)
from hoijax.optim.fitting.joint import JointFit, fit_joint, fit_joint_compiled
from hoijax.optim.fitting.joint_config import JOINT, PICO, PRESETS, RELEASED, JointConfig, Rates, Stage, preset
from hoijax.optim.fitting.joint_problem import (
    ContactEvidence,
    JointProblem,
    joint_problem,
    movable_joints,
    stack_problems,
)
from hoijax.optim.fitting.keypoint_files import FilePerson, read_keypoints
from hoijax.optim.fitting.layouts import (
    BODY_25,
    COCO_BODY,
    COCO_WHOLEBODY,
    MEDIAPIPE_BODY,
    MHR_70,
    hand_names,
    spread_of,
)
from hoijax.optim.fitting.least_squares import Minimum, levenberg_marquardt
from hoijax.optim.fitting.object_starts import Hypotheses
from hoijax.optim.fitting.object_target import (
    ObjectScene,
    ObjectShape,
    ObjectTarget,
    object_scene,
    object_shape,
    object_target,
)
from hoijax.optim.fitting.objects import (
    ObjectFit,
    ObjectFitConfig,
    fit_object,
    fit_object_ahead,
    fit_object_compiled,
)
from hoijax.optim.fitting.observations import (
    Observation,
    observe,
    observe_mediapipe,
    stack_observations,
    with_hands,
)
from hoijax.optim.fitting.outline import (
    OutlineConfig,
    OutlineTarget,
    draw_outline,
    follow_outline,
    follow_outlines,
    outline_target,
)
from hoijax.optim.fitting.people import BodyFit, FitConfig, fit_body, fit_people
from hoijax.optim.fitting.points import POINT_NAMES, PointTable, place_points, point_table
from hoijax.optim.fitting.prior import PosePrior, pose_prior
from hoijax.optim.fitting.starts import SWAPS
from hoijax.optim.fitting.unknowns import PreparedBody, prepare_body

__all__ = [
    "BODY_25",
    "COCO_BODY",
    "COCO_WHOLEBODY",
    "JOINT",
    "MEDIAPIPE_BODY",
    "MHR_70",
    "PICO",
    "POINT_NAMES",
    "PRESETS",
    "RELEASED",
    "SWAPS",
    "AlignConfig",
    "BodyFit",
    "ContactClouds",
    "ContactEvidence",
    "FilePerson",
    "FitConfig",
    "Hypotheses",
    "Intrinsics",
    "JointConfig",
    "JointFit",
    "JointProblem",
    "Minimum",
    "ObjectFit",
    "ObjectFitConfig",
    "ObjectScene",
    "ObjectShape",
    "ObjectTarget",
    "Observation",
    "OutlineConfig",
    "OutlineTarget",
    "PointTable",
    "PosePrior",
    "PreparedBody",
    "Rates",
    "Stage",
    "align_contacts",
    "choose_intrinsics",
    "contact_clouds",
    "draw_outline",
    "estimated_intrinsics",
    "exif_intrinsics",
    "fit_body",
    "fit_joint",
    "fit_joint_compiled",
    "fit_object",
    "fit_object_ahead",
    "fit_object_compiled",
    "fit_people",
    "follow_outline",
    "follow_outlines",
    "given_intrinsics",
    "hand_names",
    "joint_problem",
    "legacy_align",
    "levenberg_marquardt",
    "movable_joints",
    "object_scene",
    "object_shape",
    "object_target",
    "observe",
    "observe_mediapipe",
    "outline_target",
    "place_points",
    "point_table",
    "pose_prior",
    "prepare_body",
    "preset",
    "read_keypoints",
    "spread_of",
    "stack_observations",
    "stack_problems",
    "with_hands",
]
