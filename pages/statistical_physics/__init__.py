"""Statistical physics of learning."""

from pages.kit.topic import Topic

TOPIC = Topic(
    title="Statistical physics",
    section="Inference",
    icon=":material/ac_unit:",
    promise="Phase boundaries, frozen phases and exact partition functions, with theory drawn over simulated points.",
    order=("kernel_density_large_dimension",),
)
