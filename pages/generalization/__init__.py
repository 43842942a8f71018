"""Generalization."""

from pages.kit.topic import Topic

TOPIC = Topic(
    title="Generalization",
    section="Learning",
    icon=":material/school:",
    promise="When more data, more parameters or synthetic data help, with the exact learning curve over the simulation.",
    order=("random_feature_ridge", "model_collapse"),
)
