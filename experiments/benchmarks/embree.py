"""Embree ray casting of one mesh: the rasterizer's rival, one ray through each pixel's centre."""

import concurrent.futures
import os
from typing import Any

import numpy as np

from hoijax.camera import Camera

BLOCK = 16  # rows of rays per piece of work


class Embree:
    """Ray casting of one mesh from all cameras."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> None:
        self.vertices, self.faces = np.ascontiguousarray(vertices), np.ascontiguousarray(faces)
        height, width = camera.image_size
        x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        pixels = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
        self.views = []
        for intrinsics, pose in zip(np.asarray(camera.intrinsics, float), np.asarray(camera.T_camera_world, float)):
            rotation, translation = pose[:3, :3], pose[:3, 3]
            directions = pixels @ np.linalg.inv(intrinsics).T @ rotation
            origin = np.broadcast_to(-rotation.T @ translation, directions.shape)
            blocks = [slice(r * width, (r + BLOCK) * width) for r in range(0, height, BLOCK)]
            self.views.append(
                [tuple(np.ascontiguousarray(a[b], dtype=np.float32) for a in (origin, directions)) for b in blocks]
            )
        self.pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
        self.scene = self.build()

    def build(self) -> Any:
        """The scene; its tree is built at the first ray."""
        from embreex import rtcore_scene
        from embreex.mesh_construction import TriangleMesh

        scene = rtcore_scene.EmbreeScene()
        TriangleMesh(scene, self.vertices, self.faces)
        scene.run(*(a[:1] for a in self.views[0][0]), query="INTERSECT")
        return scene

    def cast(self, scene: Any, threads: int) -> list[np.ndarray]:
        """Face ids of all views, -1 where nothing is hit."""
        blocks = [block for view in self.views for block in view]

        def run(block):
            return scene.run(*block, query="INTERSECT")

        ids = [run(b) for b in blocks] if threads == 1 else list(self.pool.map(run, blocks))
        per_view = len(self.views[0])
        return [np.concatenate(ids[i : i + per_view]) for i in range(0, len(ids), per_view)]
