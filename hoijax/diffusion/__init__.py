"""Diffusion over any pytree of arrays: noise schedules and flows, samplers, guidance."""

from hoijax.diffusion.ddim import DDIMResult, ddim_invert, ddim_sample, leading_grid, time_grid
from hoijax.diffusion.distillation import DistillationConfig, distillation_loss, distillation_times, draw_time
from hoijax.diffusion.guidance import Guidance, classifier_free, guided_noise, guided_split
from hoijax.diffusion.prediction import CleanAndNoise, split_state, training_target
from hoijax.diffusion.schedule import (
    Flow,
    Schedule,
    cosine_schedule,
    flow_time_grid,
    flow_training_times,
    linear_schedule,
    network_times,
    noise_from_x0,
    q_sample,
    scaled_linear_schedule,
    schedule_from_betas,
    shift_times,
    x0_from_noise,
)
from hoijax.diffusion.solvers import dpm_solver_sample, euler_sample

__all__ = [
    "CleanAndNoise",
    "DDIMResult",
    "DistillationConfig",
    "Flow",
    "Guidance",
    "Schedule",
    "classifier_free",
    "cosine_schedule",
    "ddim_invert",
    "ddim_sample",
    "distillation_loss",
    "distillation_times",
    "dpm_solver_sample",
    "draw_time",
    "euler_sample",
    "flow_time_grid",
    "flow_training_times",
    "guided_noise",
    "guided_split",
    "leading_grid",
    "linear_schedule",
    "network_times",
    "noise_from_x0",
    "q_sample",
    "scaled_linear_schedule",
    "schedule_from_betas",
    "shift_times",
    "split_state",
    "time_grid",
    "training_target",
    "x0_from_noise",
]
