"""Problems that are sampled from: the parameters that say how hard they are, and the tables that users bring."""

from __future__ import annotations

from typing import Annotated

import polars as pl

from compute.methods.selectors import Verifier
from compute.models import problem_difficulty as difficulties
from compute.models.problem_difficulty import Difficulty
from compute.parameters import Choice, Column, Dataset, Integer, LogInteger, LogReal, ParameterError, Real

MOST_SAMPLES = 100_000
MOST_COMPARISONS = 63
LEAST_RATE, MOST_RATE = 1e-4, 0.5  # of false positives

Family = Annotated[
    str,
    Choice(
        "difficulty law",
        options=("beta", "beta_with_atom", "logit_normal", "own_data"),
        help="Law over problems of p, the success of one sample; own_data fits a Beta law to your table.",
    ),
]
Accuracy = Annotated[
    float,
    Real(
        "accuracy of one sample",
        r"\bar p",
        low=0.01,
        high=0.95,
        help="Mean over problems; of the tournament, p_gen of one problem.",
    ),
]
TailExponent = Annotated[
    float, LogReal("tail exponent", "a", low=0.05, high=3.0, help="P(p < x) ~ xᵃ: small means many nearly hopeless problems.")
]
Spread = Annotated[float, Real("spread of logit p", r"\sigma", low=0.4, high=4.0, help="Of the logit-normal law.")]
Atom = Annotated[float, Real("never solved", r"\pi_0", low=0.0, high=0.5, help="Share of problems with p = 0, of beta_with_atom.")]
Samples = Annotated[int, LogInteger("samples", "k", low=1, high=MOST_SAMPLES, help="Samples a problem.")]
Problems = Annotated[int, LogInteger("simulated problems", "M", low=100, high=5000, help="Problems in the simulation.")]
Recall = Annotated[float, Real("verifier recall", "T", low=0.5, high=1.0, help="Probability that a correct sample passes.")]
FalsePositiveRate = Annotated[
    float,
    LogReal(
        "false-positive rate", "F", low=LEAST_RATE, high=MOST_RATE, help="Probability that a wrong sample passes the verifier."
    ),
]
Alternatives = Annotated[int, Integer("wrong answers", "A", low=1, high=30, help="Distinct wrong answers of a problem.")]
Concentration = Annotated[
    float,
    LogReal(
        "their evenness",
        r"\eta",
        low=0.05,
        high=10.0,
        help="Dirichlet concentration of wrong answers: small means one favorite mistake.",
    ),
]
ComparisonAccuracy = Annotated[
    float,
    Real("comparison accuracy", r"p_{\mathrm{comp}}", low=0.4, high=0.99, help="One comparison names the correct one of two."),
]
Candidates = Annotated[int, LogInteger("candidates", "N", low=1, high=256, help="Entrants of the tournament.")]
Budget = Annotated[
    int, LogInteger("budget", "C", low=1, high=10_000, help="Calls a problem; calls of the cheap model where two compete.")
]
Comparisons = Annotated[
    int, LogInteger("comparisons a pair", "K", low=1, high=MOST_COMPARISONS, help="Majority of K; ties are tossed.")
]
StrongAccuracy = Annotated[
    float, Real("strong model's accuracy", r"\bar p_{\star}", low=0.05, high=0.95, help="Of one sample, handed in unverified.")
]
Table = Annotated[
    pl.DataFrame | None,
    Dataset(
        "your problems",
        help="One row a problem; used where the difficulty law is own_data.",
        columns=(
            Column("problem", "name", is_text=True),
            Column("samples", "number drawn", low=1),
            Column("correct", "number correct", low=0),
            Column("model", "name, where there are several", required=False, is_text=True),
            Column("price", "of one sample", required=False, low=0),
            Column("passed_correct", "correct samples that the verifier passed", required=False, low=0),
            Column("passed_wrong", "wrong samples that the verifier passed", required=False, low=0),
        ),
        template=(
            "problem,samples,correct,model,price,passed_correct,passed_wrong\n"
            "one,50,31,small,1,30,1\ntwo,50,4,small,1,4,3\nthree,50,0,small,1,0,5\nfour,50,1,small,1,1,2\n"
            "one,50,48,large,12,47,0\ntwo,50,20,large,12,20,1\nthree,50,2,large,12,2,2\nfour,50,9,large,12,8,1\n"
        ),
    ),
]


def model_tables(data: pl.DataFrame | None) -> list[tuple[str, pl.DataFrame]]:
    """The table of each model in a user's data, the cheapest first, else in order of appearance.

    Raises
    ------
    ParameterError
        Where there is no table or its counts are impossible.
    """
    if data is None:
        raise ParameterError("data", "is needed where the difficulty law is own_data; bring a table, or choose another law.")
    if (data["correct"] > data["samples"]).any():
        raise ParameterError("data", "has a row with more correct than samples; correct is at most samples.")
    if "model" not in data.columns:
        return [("your model", data)]
    groups = [(str(name), frame) for (name,), frame in data.group_by("model", maintain_order=True)]
    return sorted(groups, key=lambda g: price_of(g[1]) or 0.0)


def price_of(table: pl.DataFrame) -> float | None:
    """Mean price of a sample, where the table has one."""
    price = table["price"].mean() if "price" in table.columns else None
    return None if price is None else float(price)  # type: ignore[arg-type]


def measured_verifier(data: pl.DataFrame | None, family: str, recall: float, false_positive_rate: float) -> Verifier:
    """The verifier of the sliders, or of the cheapest model's table where it counts what passed."""
    if family == "own_data":
        table = model_tables(data)[0][1]
        column = {name: float(table[name].to_numpy().sum()) for name in table.columns if name not in ("problem", "model")}
        wrong = column["samples"] - column["correct"]
        if "passed_correct" in column and column["correct"]:
            recall = min(max(column["passed_correct"] / column["correct"], 1e-3), 1.0)
        if "passed_wrong" in column and wrong:
            false_positive_rate = min(column["passed_wrong"] / wrong, 1.0)
    return Verifier(recall, false_positive_rate)


def fitted_law(table: pl.DataFrame) -> Difficulty:
    """The Beta law of most likelihood for a table of counts."""
    return difficulties.beta_difficulty(*difficulties.fit_beta(table["correct"].to_numpy(), table["samples"].to_numpy()))


def law_of(family: str, accuracy: float, tail_exponent: float, spread: float, atom: float, data: pl.DataFrame | None) -> Difficulty:
    """The law of p over problems that the reader chose."""
    if family == "own_data":
        return fitted_law(model_tables(data)[0][1])
    if family == "logit_normal":
        return difficulties.logit_normal_difficulty(float(difficulties.logit_normal_center(accuracy, spread)), spread)
    atom = atom if family == "beta_with_atom" else 0.0
    if accuracy >= 1 - atom:
        raise ParameterError("accuracy", f"must lie below 1 − π₀ = {1 - atom:.3g}: problems never solved bound it.")
    return difficulties.beta_difficulty(tail_exponent, float(difficulties.beta_shape(accuracy, tail_exponent, atom)), atom)


def strong_law(family: str, strong_accuracy: float, weak: Difficulty, tail_exponent: float, spread: float) -> Difficulty:
    """The strong model's law: of the weak one's tail or spread, with nothing that is never solved."""
    exponent = weak.tail_exponent or tail_exponent
    return law_of("logit_normal" if family == "logit_normal" else "beta", strong_accuracy, exponent, spread, 0.0, None)
