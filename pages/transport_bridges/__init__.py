"""Transport and bridges."""

from pages.kit.topic import Topic

TOPIC = Topic(
    title="Transport and bridges",
    section="Sampling",
    icon=":material/alt_route:",
    promise="Carry one law into another: straight flows, Schrödinger bridges and interpolants, with every conditional mean exact.",
    order=(
        "straight_flows",
        "schrodinger_bridge",
        "stochastic_interpolants",
        "population_dynamics",
        "paired_bridges",
        "orlicz_wasserstein",
        "intrinsic_sliced_wasserstein",
    ),
)
