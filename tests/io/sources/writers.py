"""A made-up scene written the way each method writes it, with nothing of hoijax but its body's tables.

`WRITERS[name](folder, scene) -> path`. A scene is T frames of one person and one object in a camera (x right, y down,
z forward): rotations relative to the parents, the model's translation, the posed vertices and joints.
"""

import dataclasses
import json
import pickle

import numpy as np
from scipy.spatial.transform import Rotation

FROM_PYTORCH3D = np.diag([-1.0, -1.0, 1.0])


@dataclasses.dataclass
class Scene:
    angles: np.ndarray  # (T, J, 3)
    betas: np.ndarray  # (10,)
    transl: np.ndarray  # (T, 3)
    vertices: np.ndarray  # (T, V, 3)
    joints: np.ndarray  # (T, J, 3)
    obj_rot: np.ndarray  # (T, 3, 3)
    obj_trans: np.ndarray  # (T, 3)
    obj_scale: float = 1.0

    @property
    def count(self):
        return len(self.angles)

    def matrices(self):
        return Rotation.from_rotvec(self.angles.reshape(-1, 3)).as_matrix().reshape(*self.angles.shape[:2], 3, 3)

    def flat(self, start, stop):
        return self.angles[:, start:stop].reshape(self.count, -1)

    def shapes(self):
        return np.tile(self.betas, (self.count, 1))

    def poses(self):
        """(T, 4, 4) of the object."""
        out = np.tile(np.eye(4), (self.count, 1, 1))
        out[:, :3, :3], out[:, :3, 3] = self.obj_rot, self.obj_trans
        return out


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def pkl(path, value):
    path.write_bytes(pickle.dumps(value))
    return path


def smplx_parts(scene, body="body_pose", left="left_hand_pose", right="right_hand_pose", root="global_orient"):
    return {root: scene.flat(0, 1), body: scene.flat(1, 22), left: scene.flat(25, 40), right: scene.flat(40, 55)}


def without_eyes(scene):
    order = [0, *range(1, 22), *range(25, 40), *range(40, 55), 22]
    return scene.angles[:, order]


def torch_save(path, value):
    import torch

    def tensors(x):
        if isinstance(x, dict):
            return {k: tensors(v) for k, v in x.items()}
        return torch.from_numpy(np.ascontiguousarray(x)) if isinstance(x, np.ndarray) else x

    torch.save(tensors(value), path)
    return path


# Bodies


def gvhmr(folder, s):
    cam = {"body_pose": s.flat(1, 22), "global_orient": s.flat(0, 1), "betas": s.shapes(), "transl": s.transl}
    world = cam | {"transl": s.transl + 7, "global_orient": s.flat(0, 1) + 1}
    k = np.tile(np.diag([900.0, 900, 1]), (s.count, 1, 1))
    value = {
        "smpl_params_incam": cam,
        "smpl_params_global": world,
        "K_fullimg": k,
        "net_outputs": {"x": np.ones((2, 3))},
    }
    return torch_save(folder / "hmr4d_results.pt", value)


def wham(folder, s, people=1):
    one = {"pose": s.flat(0, 24), "trans": s.transl, "betas": s.shapes(), "verts": s.vertices,
           "pose_world": s.flat(0, 24) + 1, "trans_world": s.transl + 3, "frame_ids": np.arange(s.count)}  # fmt: skip
    return pkl(folder / "wham_output.pkl", {i: one for i in range(people)})


def wham_world(folder, s):
    one = {"pose": s.flat(0, 24) + 1, "trans": s.transl + 3, "betas": s.shapes(),
           "pose_world": s.flat(0, 24), "trans_world": s.transl}  # fmt: skip
    return pkl(folder / "wham_output.pkl", {0: one})


def phalp(folder, s):
    frames = {"empty.jpg": {"smpl": [], "camera": [], "tid": [], "time": 0}}
    for t, m in enumerate(s.matrices()):
        person = {"global_orient": m[:1], "body_pose": m[1:24], "betas": s.betas}
        other = {"global_orient": m[:1] * 0 + np.eye(3), "body_pose": m[1:24], "betas": s.betas}
        both = [(3, person, s.transl[t]), (8, other, s.transl[t] + 1)]
        both = both if t % 2 else both[::-1]  # the order of people changes from frame to frame
        frames[f"{t:06d}.jpg"] = {
            "tid": [b[0] for b in both], "smpl": [b[1] for b in both], "camera": [b[2] for b in both],
            "bbox": [np.zeros(4)] * 2, "mask": [{"size": [4, 5], "counts": b"abc"}] * 2, "time": t,
        }  # fmt: skip
    return pkl(folder / "track.pkl", frames)


def hmr2(folder, s):
    m = s.matrices()
    params = {"global_orient": m[:, :1], "body_pose": m[:, 1:24], "betas": s.shapes()}
    value = {"pred_smpl_params": params, "pred_cam_t_full": s.transl, "pred_cam": np.ones((s.count, 3)),
             "pred_cam_t": np.ones((s.count, 3))}  # fmt: skip
    return pkl(folder / "hmr2.pkl", value)


def hmr2_flat(folder, s):
    m = s.matrices()
    return npz(folder / "hmr2.npz", body_pose=m[:, 1:24], global_orient=m[:, :1], betas=s.shapes(),
               pred_cam_t_full=s.transl)  # fmt: skip


def nlf(folder, s):
    value = {"pose": [p[None] for p in s.flat(0, 24)], "trans": [t[None] for t in s.transl],
             "betas": [s.betas[None]] * s.count, "joints3d": [1000 * j[None] for j in s.joints],
             "vertices3d": [1000 * v[None] for v in s.vertices],
             "joints3d_nonparam": [1000 * j[None] for j in s.joints]}  # fmt: skip
    return pkl(folder / "nlf.pkl", value)


def tram(folder, s):
    import torch

    value = {"pred_rotmat": s.matrices()[:, :24], "pred_shape": s.shapes(), "pred_trans": s.transl[:, None],
             "pred_cam": np.ones((s.count, 3)), "frame": np.arange(s.count)}  # fmt: skip
    tensors = {key: torch.from_numpy(array.astype(np.float64)) for key, array in value.items()}
    np.save(folder / "hps_track_0.npy", np.array(tensors, dtype=object), allow_pickle=True)
    return folder / "hps_track_0.npy"


def prompthmr(folder, s):
    return torch_save(folder / "output.pt", {
        "pose": s.flat(0, 55), "betas": s.shapes(), "transl": s.transl, "rotmat": s.matrices(),
        "vertices": s.vertices, "body_joints": s.joints, "cam_int": np.tile(np.diag([800.0, 800, 1]), (s.count, 1, 1)),
    })  # fmt: skip


def prompthmr_video(folder, s):
    cam = {"rotmat": s.matrices(), "pose": s.flat(0, 55), "shape": s.shapes(), "trans": s.transl}
    world = {"pose": s.flat(0, 55) + 1, "shape": s.shapes(), "trans": s.transl + 2}
    camera = {"Rwc": np.tile(np.eye(3), (s.count, 1, 1)), "Twc": s.transl, "img_focal": 900.0}
    people = {1: {"frames": np.arange(s.count), "smplx_cam": cam, "smplx_world": world}}
    return pkl(folder / "results.pkl", {"people": people, "camera_world": camera})


def multi_hmr(folder, s):
    one = {"transl": s.joints[0, 15], "transl_pelvis": s.joints[0, :1], "rotvec": without_eyes(s)[0],
           "shape": s.betas, "expression": np.zeros(10), "v3d": s.vertices[0], "j3d": s.joints[0],
           "loc": np.ones(2), "scores": np.ones(1)}  # fmt: skip
    np.save(folder / "humans.npy", np.array([one], dtype=object), allow_pickle=True)
    return folder / "humans.npy"


def human3r(folder, s):
    other = np.zeros_like(without_eyes(s)[:1])
    return npz(
        folder / "000000.npz", shape=np.tile(s.betas, (2, 1)), smpl_id=np.array([4, 9]), scores=np.ones(2),
        rotvec=np.concatenate([other, without_eyes(s)[:1]]), expression=np.zeros((2, 10)), cam2world=np.eye(4),
        transl=np.stack([s.joints[0, 15] + 1, s.joints[0, 15]]), intrinsics=np.diag([700.0, 700, 1]),
    )  # fmt: skip


def smpler_x(folder, s):
    return npz(
        folder / "00000_0.npz", **smplx_parts(s), jaw_pose=s.flat(22, 23), leye_pose=s.flat(23, 24),
        reye_pose=s.flat(24, 25), betas=s.shapes(), expression=np.zeros((s.count, 10)), transl=s.transl,
    )  # fmt: skip


def smplest_x(folder, s):
    parts = smplx_parts(s, "smplx_body_pose", "smplx_lhand_pose", "smplx_rhand_pose", "smplx_root_pose")
    return npz(folder / "out.npz", **parts, smplx_jaw_pose=s.flat(22, 23), smplx_shape=s.shapes(),
               smplx_expr=np.zeros((s.count, 10)), cam_trans=s.transl)  # fmt: skip


def open3dhoi(folder, s):
    parts = smplx_parts(s, "body_pose", "lhand_pose", "rhand_pose", "root_pose")
    value = {k: v[:1].tolist() for k, v in parts.items()}
    value |= {"jaw_pose": s.flat(22, 23)[:1].tolist(), "shape": s.betas[None].tolist(), "expr": [[0.0] * 10],
              "cam_trans": s.transl[:1].tolist(), "focal": [900.0, 900.0], "princpt": [320.0, 240.0]}  # fmt: skip
    (folder / "smplx_parameters.json").write_text(json.dumps(value))
    return folder / "smplx_parameters.json"


def pico(folder, s):
    parts = smplx_parts(s, "hps_body_pose", "hps_left_hand_pose", "hps_right_hand_pose", "hps_global_orient")
    return npz(folder / "pico.npz", **parts, hps_betas=s.shapes(), hps_transl=s.transl, smpl_vertices=s.vertices,
               bbox_2=np.zeros(4))  # fmt: skip


def pixie(folder, s):
    m = s.matrices()
    shape = np.zeros((s.count, 200))
    shape[:, :10] = s.betas
    return npz(folder / "param.npz", body_pose=m[:, 1:22], global_pose=m[:, :1], shape=shape, cam_t=s.transl)


def amass(folder, s):
    return npz(folder / "amass.npz", poses=s.flat(0, 55), trans=s.transl, betas=s.betas, gender=np.array("neutral"))


# Bodies with objects


def cari4d(folder, s):
    pr = {"frames": np.arange(s.count), "pose_abs": s.poses(), "smpl_pose": s.flat(0, 52), "smpl_t": s.transl,
          "betas": s.shapes(), "contact_logits": np.zeros((s.count, 2))}  # fmt: skip
    return torch_save(folder / "seq.pth", {"pr": pr, "gt": {"pose_abs": s.poses() + 1}, "in": {"pose_abs": s.poses()}})


def obj_pose(folder, s):
    return npz(folder / "a.npz", body_pose=s.flat(1, 22), global_orient=s.flat(0, 1), betas=s.shapes(), transl=s.transl,
               obj_pose=s.poses())  # fmt: skip


def obj_r_t(folder, s):
    return npz(folder / "a.npz", body_pose=s.flat(1, 22), global_orient=s.flat(0, 1), betas=s.shapes(), transl=s.transl,
               obj_R=s.obj_rot, obj_t=s.obj_trans)  # fmt: skip


# Objects


def foundation_pose(folder, s):
    (folder / "ob_in_cam").mkdir()
    for t, pose in enumerate(s.poses()):
        np.savetxt(folder / "ob_in_cam" / f"{t:06d}.txt", pose)
    return folder / "ob_in_cam"


def one_matrix(folder, s):
    np.savetxt(folder / "pose.txt", s.poses()[0])
    return folder / "pose.txt"


def matrices_npy(folder, s):
    np.save(folder / "poses.npy", s.poses())
    return folder / "poses.npy"


def megapose(folder, s):
    x, y, z, w = Rotation.from_matrix(s.obj_rot[0]).as_quat()
    value = [{"label": "cup", "TWO": [[x, y, z, w], s.obj_trans[0].tolist()]}]
    (folder / "object_data.json").write_text(json.dumps(value))
    return folder / "object_data.json"


def sam3d_objects(folder, s):
    """p = (scale * A v) R + t in rows, in PyTorch3D's camera; CV is diag(-1, -1, 1) of that."""
    a = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    turn = (FROM_PYTORCH3D @ s.obj_rot[0] @ a.T).T
    x, y, z, w = Rotation.from_matrix(turn).as_quat()
    return torch_save(folder / "object.pt", {
        "rotation": np.array([[w, x, y, z]]), "translation": (FROM_PYTORCH3D @ s.obj_trans[0])[None],
        "scale": np.full((1, 3), s.obj_scale), "6drotation_normalized": np.zeros((1, 6)), "coords": np.zeros((5, 4)),
    })  # fmt: skip


def interact_object(folder, s):
    return npz(folder / "object.npz", angles=Rotation.from_matrix(s.obj_rot).as_rotvec(), trans=s.obj_trans,
               name=np.array("chair"))  # fmt: skip


def behave_object(folder, s):
    times = np.array([f"t{3 + t / 30:08.3f}" for t in range(s.count)])
    angles = Rotation.from_matrix(s.obj_rot).as_rotvec()
    return npz(folder / "object_fit_all.npz", angles=angles, trans=s.obj_trans, frame_times=times)


# name of the row, body of the scene, frames, the file, person
BODIES = {
    "gvhmr": ("smplx", 3, gvhmr, None), "wham": ("smpl", 3, wham, None), "wham-world": ("smpl", 2, wham_world, None),
    "4d-humans": ("smpl", 4, phalp, "3"), "hmr2": ("smpl", 2, hmr2, None), "hmr2/flat": ("smpl", 1, hmr2_flat, None),
    "nlf": ("smpl", 3, nlf, None), "tram": ("smpl", 3, tram, None), "prompthmr": ("smplx", 2, prompthmr, None),
    "prompthmr-video": ("smplx", 3, prompthmr_video, None), "multi-hmr": ("smplx", 1, multi_hmr, None),
    "human3r": ("smplx", 1, human3r, "9"), "hoijax/smpler-x": ("smplx", 2, smpler_x, None),
    "smplest-x": ("smplx", 1, smplest_x, None), "open3dhoi": ("smplx", 1, open3dhoi, None),
    "pico": ("smplx", 1, pico, None), "pixie": ("smplx", 2, pixie, None), "hoijax/amass": ("smplx", 3, amass, None),
    "cari4d": ("smplh", 3, cari4d, None), "named/4x4": ("smplx", 2, obj_pose, None),
    "hoijax/R, t": ("smplx", 2, obj_r_t, None),
}  # fmt: skip
OBJECTS = {
    "matrix/folder": (foundation_pose, 3), "matrix/text": (one_matrix, 1), "matrix/npy": (matrices_npy, 3),
    "megapose": (megapose, 1), "sam-3d-objects": (sam3d_objects, 1), "interact-object": (interact_object, 3),
    "behave-object": (behave_object, 3),
}  # fmt: skip
