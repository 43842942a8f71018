"""Parameters that the views of this lab share."""

from __future__ import annotations

from typing import Annotated

from compute.methods.multi_draft import SCHEMES
from compute.parameters import Choice, Integer, LogInteger, LogReal, Real

Drafts = Annotated[int, Integer("drafts", "K", low=1, high=8, help="Tokens drawn from the draft model, independently.")]
Scheme = Annotated[
    str,
    Choice("scheme", options=SCHEMES, help="How one of the drafts is handed in; all of them leave the target's law unchanged."),
]
Tokens = Annotated[int, Integer("tokens", "n", low=2, high=10, help="Of the toy language, whose contexts are its last token.")]
Vocabulary = Annotated[int, LogInteger("vocabulary", "n", low=2, high=50_000, help="Tokens where only closed forms are needed.")]
TargetTemperature = Annotated[
    float, LogReal("target temperature", "T_q", low=0.1, high=3.0, help="Low: the target is sure of its token.")
]
DraftTemperature = Annotated[
    float, LogReal("draft temperature", "T_p", low=0.1, high=3.0, help="Low: the drafts are all the same token.")
]
Mismatch = Annotated[
    float, Real("mismatch", r"\mu", low=0.0, high=1.0, help="Share of the draft's logits that are not the target's.")
]
