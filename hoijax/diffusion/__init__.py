"""Diffusion for interactions: schedules, deterministic DDIM both ways, score guidance."""

from hoijax.diffusion.ddim import DDIMResult, Guidance, ddim_invert, ddim_sample, guided_noise, time_grid
from hoijax.diffusion.schedule import (
    Schedule,
    cosine_schedule,
    linear_schedule,
    noise_from_x0,
    q_sample,
    schedule_from_betas,
    x0_from_noise,
)

__all__ = [
    "DDIMResult",
    "Guidance",
    "Schedule",
    "cosine_schedule",
    "ddim_invert",
    "ddim_sample",
    "guided_noise",
    "linear_schedule",
    "noise_from_x0",
    "q_sample",
    "schedule_from_betas",
    "time_grid",
    "x0_from_noise",
]
