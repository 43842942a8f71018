"""Home: what Regimes is, a search, and the gallery of labs."""

from __future__ import annotations

import streamlit as st

from pages.kit.discovery import Entry, entries, topics
from pages.kit.gallery import gallery
from pages.kit.lab import KINDS
from pages.kit.page import STYLE
from pages.kit.papers import catalogue


def render() -> None:
    """Draw the first page."""
    st.html(STYLE)
    st.title("Regimes", anchor=False)
    st.markdown(
        "Move a slider; watch a phase boundary, a scaling curve or a sampler move, **with exact theory over live simulation**."
    )
    words = st.text_input(
        "Search",
        key="search",
        bind="query-params",
        placeholder="Search labs and papers: ridge, Chinchilla, 235 …",
        label_visibility="collapsed",
        icon=":material/search:",
    )
    in_use = {entry.topic_name for entry in entries()}
    kinds_in_use = {kind for entry in entries() for kind in entry.card.kinds}
    left, right = st.columns(2)
    chosen_topics = left.pills(
        "Topic",
        [name for name in topics() if name in in_use],
        format_func=lambda name: topics()[name].title,
        selection_mode="multi",
        key="topic",
        bind="query-params",
    )
    chosen_kinds = right.pills(
        "Kind of view", [kind for kind in KINDS if kind in kinds_in_use], selection_mode="multi", key="kind", bind="query-params"
    )
    found = [
        entry
        for entry in entries()
        if (not chosen_topics or entry.topic_name in chosen_topics)
        and (not chosen_kinds or any(kind in chosen_kinds for kind in entry.card.kinds))
        and matches(entry, words or "")
    ]
    if found:
        st.caption(f"{len(found)} of {len(entries())} labs")
        gallery(found, "home")
    else:
        st.info("No lab matches. Clear a filter, or look for the paper below and in the atlas.")
    if words:
        _papers(words)


def text_of(entry: Entry) -> str:
    """What a search looks through."""
    titles = dict(catalogue().select("id", "title").iter_rows())
    card = entry.card
    parts = [card.title, card.question, entry.topic.title, entry.name.replace("_", " "), *card.views]
    parts += [f"{paper} {titles.get(paper, '')}" for paper in card.papers]
    return " ".join(parts).lower()


def matches(entry: Entry, words: str) -> bool:
    """Whether every word of a search is found."""
    if not words:
        return True
    text = text_of(entry)
    return all(word in text for word in words.lower().split())


def _papers(words: str) -> None:
    table = catalogue()
    text = (table["id"] + " " + table["title"] + " " + table["summary"]).str.to_lowercase()
    keep = [all(word in line for word in words.lower().split()) for line in text]
    rows = table.filter(keep)
    if rows.height:
        st.subheader(f"Papers ({rows.height})", anchor=False)
        for row in rows.head(8).iter_rows(named=True):
            st.markdown(f"- [{row['title']}](/atlas?paper={row['id']}) — {row['status']}")
        if rows.height > 8:
            st.markdown(f"[All {rows.height} in the atlas](/atlas)")
