"""Decimation by half-edge collapse onto a subset of the original vertices.

Quadric errors (Garland and Heckbert 1997) are summed over several poses and shapes, collapses happen in mirrored pairs,
and region borders collapse only along themselves. As vertices are only removed, never moved, shape directions, weights
and labels of every level of detail are plain selections, and the levels are nested.
"""

import heapq

import numpy as np

from .surface import adjacency, smoothing, vertex_normals

TINY = 0.0008  # metres; edges below it are removed without regard to the shape of their triangles


def _planes(a, normal):
    """Homogeneous planes through points `a` with unit `normal`."""
    return np.concatenate([normal, -np.sum(normal * a, axis=-1, keepdims=True)], axis=-1)


def quadrics(configurations, faces, labels):
    """Quadrics (V, C, 4, 4) of all vertices in C configurations (C, V, 3): of faces, and of walls on region borders."""
    count = configurations.shape[1]
    corners = configurations[:, faces]  # (C, F, 3, 3)
    cross = np.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0])
    area = np.linalg.norm(cross, axis=-1, keepdims=True)
    normal = cross / np.maximum(area, 1e-15)
    plane = _planes(corners[:, :, 0], normal)
    face = np.einsum("cfa,cfb->fcab", plane, plane) * np.moveaxis(area, 0, 1)[..., None] ** 0.75
    total = np.zeros((count, len(configurations), 4, 4))
    for k in range(3):
        np.add.at(total, faces[:, k], face)
    for k in range(3):
        p, q, r = faces[:, k], faces[:, (k + 1) % 3], faces[:, (k + 2) % 3]
        rows = np.flatnonzero((labels[p] == labels[q]) & (labels[p] != labels[r]))
        along = configurations[:, q[rows]] - configurations[:, p[rows]]
        length = np.linalg.norm(along, axis=-1, keepdims=True)
        wall = np.cross(along, normal[:, rows])
        plane = _planes(
            configurations[:, p[rows]], wall / np.maximum(np.linalg.norm(wall, axis=-1, keepdims=True), 1e-15)
        )
        wall = np.einsum("cfa,cfb->fcab", plane, plane) * (0.02 * np.moveaxis(length, 0, 1)[..., None]) ** 0.75
        np.add.at(total, p[rows], wall)
        np.add.at(total, q[rows], wall)
    return total


class Decimator:
    """Removes vertices one mirrored pair at a time.

    Args:
      configurations: (C, V, 3) the surface in several poses and shapes; the first is the rest pose.
      faces: (F, 3) mirror-symmetric triangles.
      mirror: (V,) mirror image of each vertex.
      labels: (V,) regions whose borders are kept.
      importance: (V,) factor on the cost of removing a vertex.
      pinned: ids that are never removed.
      hidden: (V,) mask where shape does not matter (closed mouth); flips and slivers are allowed there.
    """

    def __init__(self, configurations, faces, mirror, labels, importance, pinned, hidden):
        count = configurations.shape[1]
        self.rest = configurations[0]
        self.mirror, self.labels, self.importance, self.hidden = mirror, labels, importance, hidden
        self.pinned = set(int(p) for p in pinned)
        self.quadric = quadrics(configurations, faces, labels)
        spread = smoothing(adjacency(faces, count), np.full(count, 0.5))
        self.normals = spread @ spread @ spread @ vertex_normals(self.rest, faces)  # unmoved by small wrinkles
        self.points = np.concatenate([configurations, np.ones((*configurations.shape[:2], 1))], axis=-1)
        self.points = np.ascontiguousarray(self.points.transpose(1, 0, 2))  # (V, C, 4)
        self.faces = [list(map(int, face)) for face in faces]
        self.face_alive = np.ones(len(faces), bool)
        self.around = [set() for _ in range(count)]
        for i, face in enumerate(self.faces):
            for v in face:
                self.around[v].add(i)
        self.alive = np.ones(count, bool)
        self.version = np.zeros(count, int)
        adjacent = adjacency(faces, count).tocoo()
        self.border = np.bincount(adjacent.row, labels[adjacent.row] != labels[adjacent.col], count) > 0
        self.remaining = count
        self.heap = []
        for v in range(count):
            self._push(v)

    def _neighbours(self, v):
        return {x for i in self.around[v] for x in self.faces[i]} - {v}

    def _push(self, v):
        if v in self.pinned:
            return
        own = self.mirror[v] == v
        targets = [
            u
            for u in sorted(self._neighbours(v))
            if self.labels[u] == self.labels[v]
            and (self.border[u] or not self.border[v])
            and (self.mirror[u] == u or not own)
            and self.mirror[v] != u
        ]
        if not targets:
            return
        p, q = self.points[targets], self.quadric[v] + self.quadric[targets]
        error = np.einsum("uca,ucab,ucb->u", p, q, p) / p.shape[1]
        short = np.sum((self.rest[targets] - self.rest[v]) ** 2, axis=1)
        cost = (np.maximum(error, 0) + 2e-6 * short) * self.importance[v]
        for k in np.argsort(cost, kind="stable")[:3]:
            heapq.heappush(self.heap, (cost[k], v, targets[k], self.version[v]))

    def _legal(self, v, u):
        """Link condition, no flipped normal, no sliver."""
        if not (self.alive[v] and self.alive[u]):
            return False
        near_v, near_u = self._neighbours(v), self._neighbours(u)
        shared = near_v & near_u
        if u not in near_v or len(shared) != 2 or len(near_v | near_u) <= 4:
            return False
        if any(len(self.around[s]) <= 3 for s in shared):
            return False
        old = np.array([self.faces[i] for i in self.around[v] if u not in self.faces[i]])
        before, after = self.rest[old], self.rest[np.where(old == v, u, old)]
        n0 = np.cross(before[:, 1] - before[:, 0], before[:, 2] - before[:, 0])
        n1 = np.cross(after[:, 1] - after[:, 0], after[:, 2] - after[:, 0])
        l0, l1 = np.linalg.norm(n0, axis=1), np.linalg.norm(n1, axis=1)
        if self.hidden[v]:
            return bool((l1 > 1e-12).all())
        tiny = np.sum((self.rest[u] - self.rest[v]) ** 2) < TINY**2  # may be a wrinkle; what it folds into counts
        if not tiny and (np.sum(n0 * n1, axis=1) < 0.35 * l0 * l1).any():
            return False
        if (np.sum(n1 * self.normals[np.where(old == v, u, old)].sum(1), axis=1) < 0.3 * l1).any():
            return False  # flips must not add up over many collapses either
        longest = np.linalg.norm(after - np.roll(after, -1, axis=1), axis=2).max(1)
        shape = l1 / longest**2
        was = l0 / np.linalg.norm(before - np.roll(before, -1, axis=1), axis=2).max(1) ** 2
        return bool((shape > np.minimum(0.06, 0.7 * was)).all()) or tiny

    def _collapse(self, v, u):
        for i in list(self.around[v]):
            face = self.faces[i]
            if u in face:
                self.face_alive[i] = False
                for x in face:
                    self.around[x].discard(i)
            else:
                face[face.index(v)] = u
                self.around[u].add(i)
        self.around[v] = set()
        self.alive[v] = False
        self.quadric[u] += self.quadric[v]
        self.version[u] += 1

    def _snapshot(self, v, u):
        near = self._neighbours(v) | {v}
        faces = {i: (list(self.faces[i]), self.face_alive[i]) for x in near for i in self.around[x]}
        return {x: set(self.around[x]) for x in near}, faces, self.quadric[u].copy(), self.version[u]

    def _restore(self, v, u, saved):
        around, faces, self.quadric[u], self.version[u] = saved
        for x, ids in around.items():
            self.around[x] = ids
        for i, (face, alive) in faces.items():
            self.faces[i], self.face_alive[i] = face, alive
        self.alive[v] = True

    def run(self, target):
        """Collapses until at most `target` vertices remain. Returns the mask of remaining vertices and the faces."""
        while self.remaining > target:
            if not self.heap:
                raise RuntimeError(f"no legal collapse left at {self.remaining} vertices, wanted {target}")
            _, v, u, version = heapq.heappop(self.heap)
            if version != self.version[v] or not self._legal(v, u):
                continue
            image, image_u = int(self.mirror[v]), int(self.mirror[u])
            touched = self._neighbours(v)
            if image == v:
                self._collapse(v, u)
                self.remaining -= 1
            else:
                if image == u or not self.alive[image]:
                    continue
                touched |= self._neighbours(image)
                saved = self._snapshot(v, u)
                self._collapse(v, u)
                if not (self.alive[image_u] and self._legal(image, image_u)):
                    self._restore(v, u, saved)  # a lone collapse would cost the symmetry
                    continue
                self._collapse(image, image_u)
                self.remaining -= 2
            for x in touched | {u, image_u}:
                if self.alive[x]:
                    self.version[x] += 1
                    self._push(x)
        return self.alive.copy(), np.array([f for f, alive in zip(self.faces, self.face_alive, strict=True) if alive])
