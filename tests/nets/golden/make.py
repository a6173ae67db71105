"""Makes the golden files of this folder by running the authors' modules; for who wants to check or renew them.

    git clone https://github.com/RammusLeo/ScoreHOI
    python tests/nets/golden/make.py ScoreHOI

Wants PyTorch, torchvision and easydict; made with torch 2.13 and torchvision 0.29 on a CPU. Nothing of the authors'
code is kept: what the files hold are numbers. Three things are done to their code, in memory, so that it runs without a
GPU, a licensed body or gigabytes: `.cuda()` does nothing; a linear function stands for the body; and networks are
smaller: pictures of 256 pixels, one block in each stage of a ResNet, a denoiser of width 32.
"""

import pathlib
import sys
import types
from unittest import mock

import numpy as np
import recipe
import torch

HERE = pathlib.Path(__file__).parent
COMMIT = "3a012b8"


class LinearBody:
    """A body of 20 vertices whose first joint is the origin: places are linear in rotations and shape."""

    root_joint_idx = 0
    downsample = upsample = staticmethod(lambda x: x)

    def __init__(self):
        self.layer = {"neutral": self}
        knuckles = [4, 8, 12, 16]
        self.pos_joint_part = {"L_MCP": knuckles, "R_MCP": knuckles, "lhand": range(25, 45), "rhand": range(45, 65)}

    def __deepcopy__(self, memo):
        return self

    def __call__(self, *, betas, global_orient, body_pose, **hands):
        pose = torch.cat([global_orient, body_pose], 1).reshape(len(betas), -1, 3)[:, : recipe.VERTICES]
        return types.SimpleNamespace(
            vertices=0.2 * pose + 0.1 * betas[:, None, :3], joints=torch.zeros(len(betas), 52, 3)
        )


def import_authors(root: pathlib.Path) -> None:
    """Puts their folders on the path and stands in for what is not needed of what they import."""
    for name in ("cv2", "torchgeometry", "skimage", "skimage.util", "skimage.util.shape", "smplx", "joblib", "trimesh"):
        sys.modules.setdefault(name, mock.MagicMock())
    sys.modules["models.templates"] = types.SimpleNamespace(smplh=LinearBody(), obj_dict={})
    sys.path[:0] = [str(root / "lib"), str(root / "lib" / "utils")]
    torch.Tensor.cuda = lambda self, *args, **kwargs: self


def fill(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Weights by the recipe; what a published file lacks keeps its own."""
    state = {
        k: torch.from_numpy(np.array(recipe.weight(k, tuple(v.shape), seed))) for k, v in module.state_dict().items()
    }
    module.load_state_dict(state)
    return module.eval()


def first_stage() -> dict[str, np.ndarray]:
    """Picture to refined meshes, every answer on the way."""
    import funcs_utils
    from core.config import cfg
    from models import feature_backbone, module_pointnet, resnet, resnet_pointnet

    cells = recipe.BODY // 32
    cfg.MODEL.input_img_shape, cfg.MODEL.img_feat_shape = (recipe.CROP,) * 2, (8, cells, cells)
    cfg.MODEL.input_body_shape = cfg.MODEL.input_hand_shape = (recipe.BODY,) * 2
    cfg.CAMERA.focal = (recipe.FOCAL,) * 2
    feature_backbone.rot6d_to_aa = lambda x: x[:, :3]  # the linear body takes any three numbers
    for kind in (resnet.PoseResNet, resnet_pointnet.PoseResNetObj):
        whole = kind._make_layer
        kind._make_layer = lambda self, block, planes, blocks, stride=1, whole=whole: whole(
            self, block, planes, 1, stride
        )
    network = fill(feature_backbone.FeatureBackbone(), seed=1)
    assert module_pointnet and funcs_utils
    inputs = {k: torch.from_numpy(v) for k, v in recipe.first_stage_inputs().items()}
    with torch.no_grad():
        given = {"img": inputs["image"], "obj_feat": inputs["numbers"], "obj_verts_orig": inputs["points"]}
        out = network(dict(given))
        seen = network.hand4whole(inputs["image"], inputs["numbers"])[0]
        rotations = funcs_utils.rot6d_to_rotmat(out["initial_obj_pose"])
        placed = inputs["points"] @ rotations.transpose(1, 2) + out["initial_obj_trans"][:, None]
    names = {
        "hand_bbox": "hand_boxes", "hp2d_keypoints": "joints", "initial_smpl_pose": "pose",
        "initial_smpl_shape": "betas", "cam_trans": "camera", "initial_obj_pose": "object_rotation",
        "initial_obj_trans": "object_translation", "h_contacts": "body_contact", "o_contacts": "object_contact",
        "o_f_contacts": "object_floor", "smpl_verts": "refined_vertices", "obj_pose": "refined_rotation",
        "obj_trans": "refined_translation",
    }  # fmt: skip
    arrays = {mine: np.asarray(out[theirs], np.float32) for theirs, mine in names.items()}
    keys = [f"{k} {','.join(map(str, v.shape))}" for k, v in network.state_dict().items()]
    return arrays | {
        "features": seen.numpy()[:, :: recipe.CHANNELS], "object_points": placed.numpy(), "seed": np.array(1),
        "keys": np.array("\n".join(keys)),
    }  # fmt: skip


def denoiser(root: pathlib.Path) -> dict[str, np.ndarray]:
    """Noise of three states by the released denoiser, with their schedule."""
    from core.config import cfg

    source = (root / "lib" / "models" / "denoising_model_attcond.py").read_text()
    for theirs, ours in (("4096", str(2 * recipe.WIDTH)), ("2048", str(recipe.WIDTH))):
        source = source.replace(theirs, ours)
    module = types.ModuleType("models.narrow")
    module.__package__ = "models"
    exec(compile(source, "narrow", "exec"), module.__dict__)
    network = fill(module.IPFC_Obj(cfg), seed=2)
    inputs = {k: torch.from_numpy(v) for k, v in recipe.denoiser_inputs().items()}
    with torch.no_grad():
        given = {"cond_img_feats": inputs["image"], "cond_geo_feats": inputs["geometry"]}
        noise = network(inputs["x"], inputs["t"], given)
    from diffusion.diff_utils.utils import cosine_beta_schedule

    kept = torch.cumprod(1.0 - cosine_beta_schedule(1000), dim=0)
    keys = [f"{k} {','.join(map(str, v.shape))}" for k, v in network.state_dict().items()]
    return {"noise": noise.numpy(), "alphas_cumprod": kept.numpy().astype(np.float32), "seed": np.array(2),
            "keys": np.array("\n".join(keys))}  # fmt: skip


def main() -> None:
    """Writes both files."""
    root = pathlib.Path(sys.argv[1]).resolve()
    import_authors(root)
    for name, arrays in (("first_stage", first_stage()), ("denoiser", denoiser(root))):
        np.savez_compressed(HERE / f"{name}.npz", **arrays)
        for key, value in arrays.items():
            if value.dtype.kind == "f":
                print(f"{name}.{key} {value.shape} {np.abs(value).mean():.4f} +- {value.std():.4f}")


if __name__ == "__main__":
    main()
