"""Scaling laws."""

from pages.kit.topic import Topic

TOPIC = Topic(
    title="Scaling laws",
    section="Scaling",
    icon=":material/trending_down:",
    promise="Plan a training run and see how sure the plan is; see where a power law comes from, and where it stops.",
    order=(
        "chinchilla",
        "data_constrained",
        "over_training",
        "moe_sparsity",
        "hyperparameter_laws",
        "vocabulary",
        "parallel_streams",
        "routed_models",
        "four_plus_three_phases",
        "solvable_model",
        "loss_to_loss",
        "small_runs",
        "wall_clock",
        "downstream_metrics",
        "observational",
        "emergence_elbow",
        "abc_parametrizations",
        "mu_transfer",
        "noisy_data",
        "lottery_tickets",
        "value_based_rl",
        "source_selection",
    ),
)
