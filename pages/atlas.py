"""Atlas: every paper that Regimes grows from, where it stands, and the lab that shows it."""

from __future__ import annotations

import polars as pl
import streamlit as st

from pages.kit.discovery import entries, topics
from pages.kit.page import STYLE
from pages.kit.papers import STATUSES, catalogue


def render() -> None:
    """Draw the atlas."""
    st.html(STYLE)
    st.title("Atlas of papers", anchor=False)
    table = catalogue()
    counts = dict(table["status"].value_counts().iter_rows())
    st.markdown(
        f"{table.height} papers: " + ", ".join(f"**{counts.get(status, 0)}** {status}" for status in STATUSES) + ". "
        "*Live*: the lab is the paper’s own object. *Live miniature*: an honest small version of it. "
        "*Out of reach*: its object does not fit on a laptop; the row says why."
    )
    left, middle, right = st.columns([2, 2, 1])
    words = left.text_input("Search", key="q", bind="query-params", placeholder="Title, id or what is computed")
    status = middle.pills("Status", STATUSES, selection_mode="multi", key="status", bind="query-params")
    names = [name for name in table["topic"].unique(maintain_order=True).sort() if name]
    topic = right.selectbox("Topic", ["all", *names], format_func=topic_title, key="of", bind="query-params")
    shown = choose(table, words or "", status, topic)
    linked = st.query_params.get("paper")
    if linked and not words and not status and topic == "all":
        row = table.filter(pl.col("id") == linked)
        if row.height:
            _one(row.row(0, named=True))
        else:
            st.warning(f"There is no paper “{linked[:20]}”; ids run from {table['id'][0]} to {table['id'][-1]}.")
    urls = {entry.path: f"/{entry.url}" for entry in entries()}
    st.caption(f"{shown.height} papers shown")
    st.dataframe(
        shown.with_columns(
            open=pl.col("lab").replace_strict(urls, default=None, return_dtype=pl.String),
            topic=pl.col("topic").map_elements(topic_title, return_dtype=pl.String, skip_nulls=True),
        ).select("id", "title", "status", "open", "summary", "topic"),
        hide_index=True,
        height=620,
        column_config={
            "id": st.column_config.TextColumn("id", width=50),
            "title": st.column_config.TextColumn("paper", width=330),
            "status": st.column_config.TextColumn("status", width=100),
            "open": st.column_config.LinkColumn("lab", display_text=r"/(.*)", width=170),
            "summary": st.column_config.TextColumn("what is computed, or why not", width=480),
            "topic": st.column_config.TextColumn("topic", width=140),
        },
    )
    st.download_button(
        "Download as CSV", table.write_csv, "regimes_papers.csv", "text/csv", on_click="ignore", icon=":material/download:"
    )


def topic_title(name: str | None) -> str:
    """A topic's title, also where it has no labs yet."""
    return topics()[name].title if name in topics() else (name or "").replace("_", " ").capitalize()


def choose(table: pl.DataFrame, words: str, status: list[str], topic: str) -> pl.DataFrame:
    """The rows that a search and the filters leave."""
    for word in words.lower().split():
        text = pl.concat_str(["id", "title", "summary", "lab"], separator=" ", ignore_nulls=True).str.to_lowercase()
        table = table.filter(text.str.contains(word, literal=True))
    if status:
        table = table.filter(pl.col("status").is_in(status))
    return table if topic == "all" else table.filter(pl.col("topic") == topic)


def _one(row: dict[str, str]) -> None:
    with st.container(border=True):
        st.markdown(f"**{row['title']}** ({row['id']}) — {row['status']}")
        st.markdown(row["summary"])
        pages = st.session_state["pages"]
        if row["status"].startswith("live") and row["lab"] in pages:
            st.page_link(pages[row["lab"]], label="Open its lab")
        elif row["lab"]:
            st.caption(f"Planned as the lab {row['lab']}.")
