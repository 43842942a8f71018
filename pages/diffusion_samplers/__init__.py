"""Diffusion samplers."""

from pages.kit.topic import Topic

TOPIC = Topic(
    title="Diffusion samplers",
    section="Sampling",
    icon=":material/blur_on:",
    promise="Run the reverse of noise with an exact score, and see what each solver and schedule really costs.",
    order=("reverse_time_samplers", "feynman_kac_correctors"),
)
