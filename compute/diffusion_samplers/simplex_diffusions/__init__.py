"""Four ways to diffuse a category on the simplex, each with the exact posterior over its vertices."""

from compute.diffusion_samplers.simplex_diffusions.bits import Bits, message_bits
from compute.diffusion_samplers.simplex_diffusions.gumbel_map import GumbelMap, gumbel_map
from compute.diffusion_samplers.simplex_diffusions.one_particle import OneParticle, one_particle
from compute.diffusion_samplers.simplex_diffusions.sampling import Errors, Film, errors, film

__all__ = [
    "Bits",
    "Errors",
    "Film",
    "GumbelMap",
    "OneParticle",
    "errors",
    "film",
    "gumbel_map",
    "message_bits",
    "one_particle",
]
