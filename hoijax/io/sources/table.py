"""The table of sources: what each method writes, how a file of it is known, and what its keys mean.

Detection looks at keys and shapes, never at names of files. Layouts were read in the methods' own code; `tested` says
what of each was tried. Camera "cv": x right, y down, z forward; "opengl": x right, y up, z backward.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hoijax.io.sources import records
from hoijax.io.sources.containers import MATRIX, MESH
from hoijax.io.sources.records import Record, find, numbers

VERTICES: dict[int, str] = {6890: "smpl", 10475: "smplx", 18439: "mhr"}
"""Number of vertices to the body that has it."""
NAMES = {"smpl": "SMPL", "smplh": "SMPL-H", "smplx": "SMPL-X", "mhr": "MHR"}
"""Bodies as messages call them."""

_SAMPLE, _MADE = "the method's own samples", "made-up file in the published layout"

ALIASES: dict[str, str] = {
    **{key: "global_orient" for key in (
        "global_orient", "root_orient", "root_pose", "global_pose", "smplx_root_pose", "hps_global_orient",
        "pred_global_orient", "pred_smpl_params/global_orient", "smpl_params/global_orient",
    )},
    **{key: "body_pose" for key in (
        "body_pose", "pose_body", "smplx_body_pose", "hps_body_pose", "pred_body_pose", "pred_smpl_params/body_pose",
        "smpl_params/body_pose",
    )},
    **{key: "left_hand_pose" for key in ("left_hand_pose", "lhand_pose", "smplx_lhand_pose", "hps_left_hand_pose")},
    **{key: "right_hand_pose" for key in ("right_hand_pose", "rhand_pose", "smplx_rhand_pose", "hps_right_hand_pose")},
    **{key: "jaw_pose" for key in ("jaw_pose", "pose_jaw", "smplx_jaw_pose", "hps_jaw_pose")},
    **{key: "leye_pose" for key in ("leye_pose", "hps_leye_pose")},
    **{key: "reye_pose" for key in ("reye_pose", "hps_reye_pose")},
    "pose_hand": "pose_hand", "pose_eye": "pose_eye",
    **{key: "poses" for key in (
        "poses", "pose", "fullpose", "full_pose", "smpl_pose", "rotvec", "rotmat", "pred_rotmat", "pred_pose",
    )},
    **{key: "betas" for key in (
        "betas", "shape", "hps_betas", "smplx_shape", "pred_shape", "pred_betas", "pred_smpl_params/betas",
        "smpl_params/betas",
    )},
    **{key: "expression" for key in ("expression", "expr", "smplx_expr", "hps_expression")},
    **{key: "transl" for key in (
        "transl", "trans", "cam_trans", "cam_t", "cam_t_full", "pred_cam_t", "pred_cam_t_full", "pred_trans", "smpl_t",
        "hps_transl", "smplx_transl",
    )},
    **{key: "obj_rot" for key in (
        "obj_rot", "obj_angles", "obj_R", "obj_rotation", "object_rot", "object_rotation", "object_R",
    )},
    **{key: "obj_trans" for key in (
        "obj_trans", "obj_transl", "obj_t", "obj_translation", "object_trans", "object_transl", "object_translation",
        "object_t",
    )},
    **{key: "obj_scale" for key in ("obj_scale", "object_scale")},
    **{key: "obj_pose" for key in ("obj_pose", "object_pose", "obj_T", "object_T", "pose_abs", "ob_in_cam")},
    "obj_quat_wxyz": "obj_quat_wxyz", "obj_quat_xyzw": "obj_quat_xyzw",
    **{key: "frames" for key in ("frames", "frame_ids", "frame_id", "frame")},
    **{key: "intrinsics" for key in ("intrinsics", "K", "cam_int", "cam_K", "K_fullimg", "camera_matrix")},
}  # fmt: skip
"""Key to what it means, of any file without a more particular row. Means are keys of `hoijax.io.layouts.KEYS` and

`obj_pose` (4 x 4), `obj_quat_wxyz`, `obj_quat_xyzw`, `pose53` (SMPL-X without eyes), `pelvis` and `head` (where that
point is, instead of a translation), `vertices`, `vertices_mm`, `offset` (added to vertices and keypoints), `keypoints`
(MHR's 70), `pixels`, `mask`, `intrinsics`, `focal`, `frames` (their numbers in the video)."""


@dataclasses.dataclass(frozen=True)
class Source:
    """One row."""

    name: str
    """What `--source` takes."""
    title: str
    """The method, for messages."""
    detect: Callable[[Any], bool]
    """Whether a tree is of it."""
    keys: Mapping[str, str]
    """Key of a person's record to what it means (`ALIASES`)."""
    split: Callable[[Any], dict[str, Record]] = records.flat
    """The people of a tree."""
    body: str | None = None
    """Body whose parameters these are: "smpl", "smplh", "smplx", "mhr"; None: no body, or the file does not say."""
    frame: str = "cv"
    """"cv", "opengl", "y-up", "z-up", or "free" where the file does not say."""
    prefix: str = ""
    """First key on the way to the record of a person; other keys beside it are looked at too."""
    skip: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Keys that look like a pose and are not needed, to why; `*` at the end stands for any rest."""
    holds: str = "body"
    """"body", "object" or "both"."""
    note: str = ""
    """What its user should know."""
    files: str = ""
    """Under which names it is met."""
    tested: str = _MADE
    """What was tried of it."""
    unread: str = ""
    """What of it is not read."""
    video: bool = False
    """Whether rows are frames of one person, in their order."""
    metric: bool = True
    """Whether its depth is in metres; False: it depends on an assumed focal length."""


def _has(*paths: str) -> Callable[[Any], bool]:
    """A test for a tree that has all these paths; `a|b` is either."""
    return lambda tree: all(any(find(tree, way) is not None for way in path.split("|")) for path in paths)


def _person(tree: Any) -> Any:
    """The first of a list of people, or the tree."""
    return tree[0] if isinstance(tree, list | tuple) and tree else tree


def _of_people(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda tree: test(_person(tree))


def _width(path: str, *sizes: int) -> Callable[[Any], bool]:
    """A test for a tree whose array there has that many numbers in its last axes."""

    def test(tree: Any) -> bool:
        array = numbers(find(tree, path))
        return array is not None and any(array.size % size == 0 and array.size >= size for size in sizes)

    return test


def _matrix(tree: Any) -> bool:
    array = numbers(find(tree, MATRIX)) if isinstance(tree, Mapping) else numbers(tree)
    return array is not None and array.shape[-2:] == (4, 4) and array.ndim in (2, 3)


def _matrices(tree: Any) -> dict[str, Record]:
    """The poses of a file or a folder, with the numbers of their frames where the folder says them."""
    if not isinstance(tree, Mapping):
        return {"": {MATRIX: numbers(tree)}}
    frames = numbers(tree.get("frames"))
    return {"": {MATRIX: numbers(find(tree, MATRIX))} | ({} if frames is None else {"frames": frames})}


def _phalp(tree: Any) -> bool:
    frames = tree.values() if isinstance(tree, Mapping) else ()
    return any(isinstance(frame, Mapping) and {"smpl", "camera"} <= frame.keys() for frame in frames)


def _megapose(tree: Any) -> bool:
    return isinstance(tree, list) and bool(tree) and isinstance(tree[0], Mapping) and "TWO" in tree[0]


def _mesh(low: float, high: float) -> Callable[[Any], bool]:
    """A test for a body's vertices whose depths all lie in a range."""

    def test(tree: Any) -> bool:
        vertices = numbers(find(tree, MESH)) if isinstance(tree, Mapping) else None
        if vertices is None or len(vertices) not in VERTICES:
            return False
        depth = vertices[:, 2]
        return bool(low <= depth.min() and depth.max() <= high)

    return test


def _body_keys(tree: Any) -> bool:
    found = {ALIASES.get(key) for key in records.flat(_person(tree)).get("", {})} if isinstance(
        _person(tree), Mapping) else set()  # fmt: skip
    return bool({"body_pose", "poses"} & found)


def _object_keys(tree: Any) -> bool:
    found = {ALIASES.get(key) for key in records.flat(tree).get("", {})} if isinstance(tree, Mapping) else set()
    return bool({"obj_rot", "obj_pose", "obj_quat_wxyz", "obj_quat_xyzw", "obj_trans"} & found)


_MHR_SKIP = {
    key: "MHR's own parameters; the surface says the same"
    for key in (
        "global_rot",
        "body_pose_params",
        "hand_pose_params",
        "scale_params",
        "shape_params",
        "expr_params",
        "mhr_model_params",
        "pred_pose_raw",
    )
} | {
    "pred_global_rots": "before the flip of y and z",
    "pred_joint_coords": "MHR's joints; the surface is used",
}
_HMR_CAMERA = {key: "of the crop; the full picture's camera is used" for key in ("pred_cam", "pred_cam_t")}
_WORLD = "the world's frame; --source {} takes it instead"

SOURCES: tuple[Source, ...] = (
    Source(
        "gvhmr", "GVHMR, in the camera", _has("smpl_params_incam/body_pose"),
        ALIASES, records.inside("smpl_params_incam"), "smplx", prefix="smpl_params_incam",
        skip={"smpl_params_global": _WORLD.format("gvhmr-world"), "net_outputs": "the network's own"},
        video=True, files="hmr4d_results.pt", note="SMPL-X without hands", unread="net_outputs",
    ),
    Source(
        "gvhmr-world", "GVHMR, in the world", _has("smpl_params_global/body_pose"),
        ALIASES, records.inside("smpl_params_global"), "smplx", frame="y-up",
        prefix="smpl_params_global",
        skip={"smpl_params_incam": _WORLD.format("gvhmr").replace("world", "camera"), "K_fullimg": "of the camera"},
        video=True, files="hmr4d_results.pt", note="SMPL-X without hands",
    ),
    Source(
        "prompthmr-video", "PromptHMR (video), in the camera", _has("people/*/smplx_cam"),
        {k: v for k, v in ALIASES.items() if k != "rotmat"}, records.inside("people/*/smplx_cam"), "smplx",
        prefix="people",
        skip={"camera_world": _WORLD.format("prompthmr-video-world"), "rotmat": "the same as pose",
              "contact": "labels of the feet"},
        video=True, files="results.pkl (joblib)",
    ),
    Source(
        "prompthmr-video-world", "PromptHMR (video), in the world", _has("people/*/smplx_world"),
        {k: v for k, v in ALIASES.items() if k != "rotmat"}, records.inside("people/*/smplx_world"), "smplx",
        frame="y-up", prefix="people", skip={"camera_world": "the camera", "rotmat": "the same as pose"},
        video=True, files="results.pkl (joblib)",
    ),
    Source(
        "cari4d", "CARI4D", _has("pr/pose_abs", "pr/smpl_pose"), ALIASES, records.inside("pr"), "smplh", prefix="pr",
        skip={"gt": "ground truth", "in": "the network's input"}, holds="both", video=True, files="{seq}.pth",
        unread="contact_logits (a probability a frame, not of places)",
    ),
    Source(
        "wham", "WHAM, in the camera", _has("*/pose", "*/trans", "*/pose_world"), ALIASES, records.inside("*"), "smpl",
        skip={"pose_world": _WORLD.format("wham-world"), "trans_world": _WORLD.format("wham-world"),
              "verts": "the pose says the same"},
        video=True, files="wham_output.pkl (joblib)",
    ),
    Source(
        "wham-world", "WHAM, in the world", _has("*/pose_world", "*/trans_world"),
        {"pose_world": "poses", "trans_world": "transl", "betas": "betas", "frame_ids": "frames"},
        records.inside("*"), "smpl", frame="y-up",
        skip={"pose": "in the camera", "trans": "in the camera", "verts": "the pose says the same"},
        video=True, files="wham_output.pkl (joblib)",
    ),
    Source(
        "4d-humans", "4D-Humans (PHALP's tracks)", _phalp,
        {**ALIASES, "camera": "transl"}, records.phalp, "smpl", metric=False,
        video=True, files="results/*.pkl (joblib)",
        note="the depth follows from an assumed focal length and is not metric",
        unread="masks, boxes, appearance",
    ),
    Source(
        "tram", "TRAM", _has("pred_rotmat", "pred_trans"),
        {"pred_rotmat": "poses", "pred_trans": "transl", "pred_shape": "betas", "frame": "frames"}, body="smpl",
        skip={"pred_cam": "of the crop", "pred_pose": "the same as pred_rotmat"},
        video=True, files="hps/hps_track_{k}.npy", unread="camera.npy (the camera's path)",
    ),
    Source(
        "multi-hmr", "Multi-HMR", _of_people(_has("rotvec", "transl_pelvis")),
        {"rotvec": "pose53", "transl_pelvis": "pelvis", "shape": "betas", "expression": "expression"}, body="smplx",
        skip={"transl": "of the head; transl_pelvis is used", "rotmat": "the same as rotvec", "v3d": "the pose says so",
              "j3d": "the pose says so"},
        files="*.npy", note="the translation is that of the pelvis", unread="the Anny checkpoint's phenotype",
    ),
    Source(
        "human3r", "Human3R", _of_people(_has("rotvec", "transl")),
        {"rotvec": "pose53", "transl": "head", "shape": "betas", "expression": "expression",
         "intrinsics": "intrinsics"}, records.each_row, "smplx",
        skip={"cam2world": "the camera's pose; bodies are in the camera", "rotmat": "the same as rotvec"},
        files="smpl/{frame:06d}.npz", note="the translation is that of the head",
    ),
    Source(
        "nlf", "NLF", _has("pose", "trans", "joints3d|vertices3d"),
        {"pose": "poses", "trans": "transl", "betas": "betas"}, records.by_image, None,
        skip={"joints3d": "millimetres; the pose says the same", "vertices3d": "millimetres; the pose says the same",
              "*_nonparam": "millimetres; the pose is used"},
        note="pose and trans are metres beside joints3d and vertices3d in millimetres; the latter are not needed",
        files="a dictionary of lists",
    ),
    Source(
        "prompthmr", "PromptHMR (image)", _of_people(_has("pose", "transl", "rotmat", "cam_int|vertices")),
        {k: v for k, v in ALIASES.items() if k != "rotmat"}, body="smplx",
        skip={"rotmat": "the same as pose", "vertices": "the pose says the same", "body_joints": "the pose says so"},
        files="output.pt",
    ),
    Source(
        "sam-3d-body", "SAM 3D Body", _of_people(_has("pred_vertices", "pred_cam_t")),
        {"pred_vertices": "vertices", "pred_cam_t": "offset", "pred_keypoints_3d": "keypoints",
         "pred_keypoints_2d": "pixels", "focal_length": "focal", "mask": "mask"}, body="mhr", skip=_MHR_SKIP,
        files="one .npz a person, or a list of dictionaries", tested=_SAMPLE,
        note="MHR's surface; parameters of another body are fitted to it", unread="boxes",
    ),
    Source(
        "hmr2", "HMR2 / 4D-Humans / TokenHMR", _of_people(_has(
            "pred_smpl_params/body_pose|body_pose", "pred_cam_t_full|cam_t_full|pred_cam|pred_smpl_params")),
        {k: v for k, v in ALIASES.items() if k != "pred_cam_t"}, body="smpl", skip=_HMR_CAMERA, metric=False,
        files="a dictionary in memory, saved by its user",
        note="the depth follows from an assumed focal length and is not metric",
    ),
    Source(
        "pixie", "PIXIE", _of_people(lambda tree: _has("global_pose", "body_pose")(tree)), ALIASES, body="smplx",
        files="*_param.pkl", metric=False, note="the camera's distance is not metric",
        skip={"body_cam": "weak perspective", "cam": "weak perspective", "*tform": "of the crop"},
        unread="hands of 6 numbers a joint",
    ),
    Source(
        "smplest-x", "SMPLest-X / OSX", _of_people(_has("smplx_root_pose", "smplx_body_pose")), ALIASES, body="smplx",
        metric=False, note="cam_trans goes with the focal length of the crop", files="a dictionary in memory",
    ),
    Source(
        "open3dhoi", "Open3DHOI", _of_people(_has("root_pose", "body_pose", "cam_trans")), ALIASES, body="smplx",
        files="smplx_parameters.json", unread="focal, princpt",
    ),
    Source(
        "pico", "PICO", _of_people(_has("hps_body_pose", "hps_global_orient")),
        {k: v for k, v in ALIASES.items()}, body="smplx", skip={"smpl_vertices": "the pose says the same"},
        files="*.npz", note="PICO turns the object by -90 degrees about x and centres both on their centroid",
    ),
    Source(
        "sam-3d-objects", "SAM 3D Objects", _has("rotation", "translation", "scale"),
        {"rotation": "sam3d_rotation", "translation": "sam3d_translation", "scale": "sam3d_scale",
         "pointmap": "pointmap"}, holds="object", metric=False,
        skip={"6drotation_normalized": "the same as rotation", "translation_scale": "in translation already",
              "coords": "voxels", "coords_original": "voxels"},
        files="the dictionary in memory, saved by its user",
        note="PyTorch3D's camera, wxyz, MoGe's scale; for its GLB (y up)", unread="gaussians",
    ),
    Source(
        "megapose", "MegaPose / HappyPose", _megapose, {"TWO/0": "obj_quat_xyzw", "TWO/1": "obj_trans"},
        records.megapose, holds="object", files="outputs/object_data.json",
        note="xyzw and metres; its mesh is in millimetres: --units mm",
    ),
    Source(
        "behave-object", "BEHAVE's object", lambda tree: _has("angles", "trans", "frame_times")(tree),
        {"angles": "obj_rot", "trans": "obj_trans", "frames": "frames"}, records.timed, holds="object",
        files="object_fit_all.npz", note="in the first camera, y down",
    ),
    Source(
        "interact-object", "InterAct's object", lambda tree: _has("angles", "trans")(tree) and not _body_keys(tree),
        {"angles": "obj_rot", "trans": "obj_trans"}, holds="object", frame="y-up", files="object.npz",
    ),
    Source(
        "matrix", "a 4 x 4 pose (FoundationPose, BundleSDF)", _matrix, {MATRIX: "obj_pose", "frames": "frames"},
        _matrices,
        holds="object", files="ob_in_cam/*.txt", note="in metres, of the mesh as the method was given it",
    ),
    Source(
        "mesh-opengl", "vertices, OpenGL's camera (HMR2, TokenHMR, SAM 3D Body's .ply)", _mesh(-np.inf, -0.3),
        {MESH: "vertices"}, frame="opengl", files="{img}_{pid}.obj, {img}_mesh_{pid:03d}.ply",
    ),
    Source(
        "mesh-cv", "vertices, OpenCV's camera", _mesh(0.3, np.inf), {MESH: "vertices"}, files="*.obj, *.ply",
    ),
    Source(
        "mesh", "vertices without a camera (CameraHMR)", _mesh(-np.inf, np.inf), {MESH: "vertices"},
        files="{img}_{i:06d}.obj", note="the file has no camera: the body stands about the origin",
    ),
    Source("named", "keys of several methods", _body_keys, ALIASES, frame="free", holds="both",
           skip={"other_obj_*": "the object's other answers (hoijax reconstruct)"}, files=".npz, .pkl, .pt, .json"),
    Source("object", "an object's pose by its keys", _object_keys, ALIASES, frame="free", holds="object",
           files=".npz, .pkl, .pt, .json"),
)  # fmt: skip
"""In the order in which they are tried."""


def source_by_name(name: str) -> Source | None:
    """The row of a name."""
    return next((source for source in SOURCES if source.name == name), None)
