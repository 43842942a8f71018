"""The parameters that the views of this lab share."""

from __future__ import annotations

from typing import Annotated

from compute.parameters import Integer, LogInteger, LogReal, Real

UniqueTokens = Annotated[float, LogReal("unique tokens", "U", low=1e8, high=1e13, unit="tokens", help="All the text there is.")]
Compute = Annotated[float, LogReal("compute", "C", low=1e18, high=1e26, unit="FLOP", help="The budget, C = 6 N D.")]
DecayTokens = Annotated[
    float, LogReal("decay of repeated tokens", "R^*_D", low=1.0, high=100.0, help="Repeats after which a token's worth is spent.")
]
DecayParameters = Annotated[
    float, LogReal("decay of excess parameters", "R^*_N", low=1.0, high=50.0, help="The same for parameters beyond N_opt(U).")
]
Size = Annotated[float, LogReal("parameters", "N", low=1e6, high=1e13, help="Size of the model you stand at.")]
Epochs = Annotated[float, LogReal("epochs", "D/U", low=1.0, high=100.0, help="Passes through the data where you stand.")]

SpectrumExponent = Annotated[float, Real("spectrum exponent", "a", low=1.1, high=2.0, help="Variance of feature j is j^-a.")]
LabelNoise = Annotated[float, Real("label noise", r"\sigma", low=0.0, high=0.5, help="Standard deviation; the signal has 1.")]
UniqueSamples = Annotated[int, LogInteger("unique samples", "U", low=50, high=5000, help="Samples, for 200 features.")]
Updates = Annotated[int, LogInteger("updates", "T", low=100, high=50_000, help="Steps of batch 1, split into epochs.")]
WeightDecay = Annotated[float, Real("weight decay", r"\kappa", low=0.0, high=0.02, help="Share of the weights lost at each step.")]
Seeds = Annotated[int, Integer("runs averaged", low=2, high=32, help="Independent data sets; bars are two standard errors.")]
Features = Annotated[int, LogInteger("features kept", "N", low=2, high=200, help="Size of the model, of 400 features.")]
StepsPerFeature = Annotated[float, LogReal("updates per feature", "T/N", low=0.1, high=1e4, help="Training length over size.")]
