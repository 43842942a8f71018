"""Monte Carlo."""

from pages.kit.topic import Topic

TOPIC = Topic(
    title="Monte Carlo",
    section="Sampling",
    icon=":material/casino:",
    promise="Watch chains and particle clouds converge, with the exact answer and the asymptotic variance over every run.",
    order=("sampler_gallery", "self_repellent_walk"),
)
