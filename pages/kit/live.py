"""Follow a slider while it is dragged: an invisible component that sends its value as it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from compute.parameters import Number, ParameterError
from pages.kit.state import LabState

# One update is in flight at a time: the next is sent when the server has answered the last (data.answered).
# A watchdog frees the line if an answer is lost. On release the slider's own value takes over.
SCRIPT = """
export default function (component) {
  const { data, setStateValue } = component
  const lab = (window.regimesDrag ??= {})
  lab.prefix = data.prefix
  lab.enabled = data.enabled
  lab.send = (value) => setStateValue("drag", value)
  if (data.answered >= (lab.sent ?? 0)) lab.inFlight = false
  lab.pump = () => {
    if (!lab.name || !lab.enabled) return
    const busy = lab.inFlight && performance.now() - lab.sentAt < 4000
    const value = lab.input.value
    if (busy || value === lab.last) return
    lab.last = value
    lab.inFlight = true
    lab.sentAt = performance.now()
    lab.sent = Math.max(lab.sent ?? 0, data.answered, Date.now())
    lab.send({ name: lab.name, value, text: lab.input.getAttribute("aria-valuetext"), number: lab.sent })
  }
  if (!lab.listening) {
    lab.listening = true
    const start = (event) => {
      const slider = event.target.closest?.('[data-testid="stSlider"]')
      const box = slider?.closest(`[class*="st-key-${lab.prefix}"]`)
      if (!box) return
      lab.input = slider.querySelector('input[type="range"]')
      lab.name = [...box.classList].find((c) => c.startsWith(`st-key-${lab.prefix}`)).slice(`st-key-${lab.prefix}`.length)
      lab.last = lab.from = lab.input.value
    }
    const stop = () => {
      if (!lab.name) return
      const returned = lab.input.value === lab.from && lab.last !== lab.from
      lab.name = null
      // Let go where it was taken: the slider sends nothing, so the last drag must be taken back.
      if (returned) lab.send(null)
    }
    document.addEventListener("pointerdown", start, true)
    // A frame later, when the slider itself has taken the move in.
    document.addEventListener("pointermove", () => requestAnimationFrame(lab.pump), true)
    document.addEventListener("pointerup", stop, true)
    document.addEventListener("pointercancel", stop, true)
  }
  // What moved while the last answer was on its way.
  requestAnimationFrame(() => lab.pump())
}
"""


@st.cache_resource(show_spinner=False)
def _component() -> Any:
    return st.components.v2.component("regimes_drag", js=SCRIPT)


@dataclass(frozen=True)
class Drag:
    """A slider on its way: the parameter and the value under the pointer."""

    name: str
    value: Any
    number: int


SLIDER = "slide-"


def dragged(state: LabState) -> Drag | None:
    """The drag that is going on, if any."""
    sent = (st.session_state.get(state.key("drag")) or {}).get("drag")
    if not sent or sent["number"] <= state.released:
        return None
    parameter = state.entry.lab.parameters.get(sent["name"])
    if not isinstance(parameter, Number):
        return None
    try:
        text = sent["text"] if parameter.is_log else sent["value"]
        return Drag(sent["name"], parameter.parse(sent["name"], text), sent["number"])
    except (ParameterError, TypeError):
        return None


def release(state: LabState) -> None:
    """A slider was let go: its own value counts from now on."""
    sent = (st.session_state.get(state.key("drag")) or {}).get("drag")
    if sent:
        state.released = max(state.released, sent["number"])


def watch(state: LabState, *, enabled: bool) -> None:
    """Mount the component, in the fragment that is to follow the drag."""
    sent = (st.session_state.get(state.key("drag")) or {}).get("drag")
    _component()(
        key=state.key("drag"),
        data={"prefix": state.key(SLIDER), "enabled": enabled, "answered": sent["number"] if sent else 0},
        height="content",
    )
