"""Diffusion samplers."""

from pages.kit.topic import Topic

TOPIC = Topic(
    title="Diffusion samplers",
    section="Sampling",
    icon=":material/blur_on:",
    promise="Run the reverse of noise with an exact score, and see what each solver and schedule really costs.",
    order=(
        "reverse_time_samplers",
        "feynman_kac_correctors",
        "absorbing_diffusion",
        "simplex_diffusions",
        "consistency_maps",
        "flow_map_geometry",
        "schedule_ends",
        "error_propagation",
        "tuned_few_step_samplers",
        "conditional_sampling",
        "posterior_from_observations",
        "denoising_chains",
        "restore_and_degrade",
        "phase_space_diffusion",
        "linear_forward_processes",
        "sample_complexity",
        "function_space_diffusion",
        "riemannian_heat_kernels",
    ),
)
