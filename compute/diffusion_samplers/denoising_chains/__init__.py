"""Is a denoiser already a Markov chain sampler? Serial reproduction, Langevin-Gibbs, autoencoders."""

from compute.diffusion_samplers.denoising_chains.autoencoder import FieldPicture, ScoreErrors, autoencoder_field, score_errors
from compute.diffusion_samplers.denoising_chains.langevin_gibbs import ChainPicture, EvaluationCurves, chain, evaluations
from compute.diffusion_samplers.denoising_chains.reproduction import Forgetting, Schedules, forgetting, schedules

__all__ = [
    "ChainPicture",
    "EvaluationCurves",
    "FieldPicture",
    "Forgetting",
    "Schedules",
    "ScoreErrors",
    "autoencoder_field",
    "chain",
    "evaluations",
    "forgetting",
    "schedules",
    "score_errors",
]
