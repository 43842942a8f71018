"""The papers that Regimes grows from, where each stands, and the lab that shows it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import polars as pl
import streamlit as st

from pages.kit.discovery import Entry, papers

FILE = Path(__file__).parents[2] / "assets" / "papers.csv"
STATUSES = ("live", "live miniature", "planned", "out of reach")


@cache
def catalogue() -> pl.DataFrame:
    """All papers: id, title, topic, status, lab, summary."""
    return pl.read_csv(FILE, schema_overrides={"id": pl.String}, infer_schema_length=None)


def status_now() -> dict[str, tuple[str, str]]:
    """Of each paper that a lab shows, the status and the lab's path that follow from the labs that exist."""
    return {
        paper: ("live" if standing == "own object" else "live miniature", entry.path)
        for paper, (entry, standing) in papers().items()
    }


def paper_list(entry: Entry) -> None:
    """A lab's papers, each with its standing and a link to its row of the atlas."""
    titles = dict(catalogue().select("id", "title").iter_rows())
    lines = []
    for paper, standing in entry.card.papers.items():
        what = "the paper’s own object" if standing == "own object" else "an honest miniature"
        lines.append(f"- [{titles.get(paper, paper)}](/atlas?paper={paper}) — {what} ({paper})")
    st.markdown("\n".join(lines))


def update() -> None:
    """Rewrite the file's status and lab columns from the labs that exist: ``python -m pages.kit.papers``."""
    now = status_now()
    rows = [
        row | ({"status": now[row["id"]][0], "lab": now[row["id"]][1]} if row["id"] in now else {})
        for row in catalogue().iter_rows(named=True)
    ]
    pl.DataFrame(rows, schema=catalogue().schema).write_csv(FILE)


if __name__ == "__main__":
    update()
