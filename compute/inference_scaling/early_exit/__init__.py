"""Early exit: where to stop, what exit heads cost in training, and what stopping saves in decoding."""

from compute.inference_scaling.early_exit.decoding import DecodeSpeed, decode_speed
from compute.inference_scaling.early_exit.exits import ExitLaws, ExitRules, RuleMap, exit_laws, exit_rules, rule_map
from compute.inference_scaling.early_exit.gradients import StageGradients, stage_gradients
from compute.inference_scaling.early_exit.pipeline import HeadCosts, Pipeline, head_costs, one_iteration

__all__ = [
    "DecodeSpeed",
    "ExitLaws",
    "ExitRules",
    "HeadCosts",
    "Pipeline",
    "RuleMap",
    "StageGradients",
    "decode_speed",
    "exit_laws",
    "exit_rules",
    "head_costs",
    "one_iteration",
    "rule_map",
    "stage_gradients",
]
