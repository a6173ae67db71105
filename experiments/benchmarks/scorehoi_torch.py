"""ScoreHOI's released denoiser written again in PyTorch, from the paper and the layout of its checkpoint.

The rival of the benchmark: it computes what the released one computes, queries and keys that cannot matter included.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

WIDTH, OBJECT_FEATURES, POSE, BETAS = 2048, 1216, 321, 10


class Attention(nn.Module):
    """One condition as the query over one feature token."""

    def __init__(self):
        super().__init__()
        self.query_proj, self.key_proj, self.value_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.attn = nn.MultiheadAttention(WIDTH, 1)

    def forward(self, features, condition):
        """(B, WIDTH) each."""
        q, k, v = self.query_proj(condition), self.key_proj(features), self.value_proj(features)
        # One token per sample: sequences of length one, the batch in the middle.
        return self.attn(q[None], k[None], v[None], need_weights=False)[0][0]


class Body(nn.Module):
    """What stands in a block after scale and shift."""

    def __init__(self, size):
        super().__init__()
        self.layer_norm1, self.linear_layer1 = nn.LayerNorm(size), nn.Linear(size, WIDTH)
        self.attn_cond_emb, self.ip_attn_cond_emb = Attention(), Attention()
        self.after_ip_attn = nn.Linear(WIDTH, WIDTH)
        self.layer_norm2, self.linear_layer2 = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, size)

    def forward(self, x, geometry, image):
        """(B, size)."""
        h = F.gelu(self.linear_layer1(self.layer_norm1(x)))
        h = self.after_ip_attn(h + self.attn_cond_emb(h, geometry) + h + self.ip_attn_cond_emb(h, image))
        return F.gelu(self.linear_layer2(self.layer_norm2(h)))


class Block(nn.Module):
    """Scale and shift by the time, then the residual body."""

    def __init__(self, size):
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(4 * size, 2 * size))
        self.block = Body(size)
        self.align_ip_cond = nn.Linear(WIDTH, WIDTH)

    def forward(self, x, time, geometry, image):
        """(B, size)."""
        scale, shift = self.mlp(time).chunk(2, dim=-1)
        x = x * (scale + 1) + shift
        return x + self.block(x, geometry, self.align_ip_cond(image))


class Geometry(nn.Module):
    """The geometry condition."""

    def __init__(self):
        super().__init__()
        self.fc1, self.bn1 = nn.Linear(OBJECT_FEATURES, 2 * WIDTH), nn.BatchNorm1d(2 * WIDTH)
        self.fc2, self.bn2 = nn.Linear(2 * WIDTH, WIDTH), nn.BatchNorm1d(WIDTH)
        self.fc3 = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        """(B, OBJECT_FEATURES) to (B, WIDTH)."""
        return self.fc3(F.relu(self.bn2(self.fc2(F.relu(self.bn1(self.fc1(x)))))))


def _time_mlp(size):
    return nn.Sequential(nn.Identity(), nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, 4 * size))


class Denoiser(nn.Module):
    """Noise of states (B, 331) at time indices (B,), pose and object first, betas last."""

    def __init__(self):
        super().__init__()
        self.time_mlp, self.time_mlp_betas = _time_mlp(POSE), _time_mlp(BETAS)
        self.init_mlp, self.final_mlp = nn.Linear(POSE, POSE), nn.Linear(POSE, POSE)
        self.init_mlp_betas, self.final_mlp_betas = nn.Linear(BETAS, BETAS), nn.Linear(BETAS, BETAS)
        self.blocks = nn.ModuleList(Block(POSE) for _ in range(3))
        self.blocks_betas = nn.ModuleList(Block(BETAS) for _ in range(2))
        self.geo_cond_embedding_feat = Geometry()

    @torch.no_grad()
    def forward(self, x, t, image, object_features):
        """The noise; image features (B, WIDTH), object features (B, OBJECT_FEATURES)."""
        geometry = self.geo_cond_embedding_feat(object_features)
        pose, betas = x.split([POSE, BETAS], dim=-1)
        pose_time, betas_time = (self._time(mlp, t) for mlp in (self.time_mlp, self.time_mlp_betas))
        pose, betas = self.init_mlp(pose), self.init_mlp_betas(betas)
        for block in self.blocks:
            pose = block(pose, pose_time, geometry, image)
        for block in self.blocks_betas:
            betas = block(betas, betas_time, geometry, image)
        return torch.cat([self.final_mlp(pose), self.final_mlp_betas(betas)], dim=-1)

    def _time(self, mlp, t):
        size = mlp[1].in_features
        half = size // 2
        angles = t[:, None] * torch.exp(torch.arange(half) * (-math.log(10000) / (half - 1)))
        return mlp(F.pad(torch.cat([angles.sin(), angles.cos()], dim=-1), (0, size % 2)))
