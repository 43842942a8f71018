"""Inference scaling."""

from pages.kit.topic import Topic

TOPIC = Topic(
    title="Inference scaling",
    section="Scaling",
    icon=":material/repeat:",
    promise="What each extra call buys, where it stops paying, and how to spend a budget.",
    order=("repeated_sampling", "multi_draft_speculation", "call_budget", "pass_until", "early_exit"),
)
