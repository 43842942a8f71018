// chart.py says where Plotly is, LIBRARY, and what a figure looks like in each theme, TEMPLATES.
const library = () => (window.regimesPlotly ??= new Promise((resolve, reject) => {
  const script = document.createElement("script")
  script.src = LIBRARY
  script.onload = () => resolve(window.Plotly)
  script.onerror = () => reject(new Error("Plotly did not load"))
  document.head.append(script)
}))

// On a phone panels stand one below another: side by side each would be as wide as a thumb.
const PHONE = 560
const PANEL = { least: 230, most: 320, between: 100 } // px

function stack({ layout, data }) {
  const columns = []
  const axes = Object.keys(layout).filter((name) => /^xaxis\d*$/.test(name) && layout[name].domain)
  for (const name of axes.sort((a, b) => layout[a].domain[0] - layout[b].domain[0])) {
    const [left, right] = layout[name].domain
    const last = columns.at(-1)
    if (last && left < last.right - 1e-6) Object.assign(last, { right: Math.max(right, last.right), axes: [...last.axes, name] })
    else columns.push({ left, right, axes: [name] })
  }
  if (columns.length < 2) return
  const given = layout.template?.layout ?? {}
  const { t: above, b: below } = { t: 20, b: 52, ...given.margin, ...layout.margin }
  const before = layout.height - above - below
  const height = Math.min(PANEL.most, Math.max(PANEL.least, 0.7 * before))
  const whole = columns.length * height + (columns.length - 1) * PANEL.between
  layout.height = whole + above + below
  columns.forEach((column, k) => {
    const top = 1 - (k * (height + PANEL.between)) / whole
    const place = {
      x: (at) => (at - column.left) / (column.right - column.left),
      y: (at) => top - ((1 - at) * height) / whole,
    }
    for (const name of column.axes) {
      const upright = (layout[name.replace("x", "y")] ??= {})
      layout[name].domain = layout[name].domain.map(place.x)
      upright.domain = (upright.domain ?? [0, 1]).map(place.y)
    }
    for (const note of layout.annotations ?? []) {
      if (note.xref !== "paper" || note.yref !== "paper" || note.placed) continue
      if (note.x < column.left - 0.01 || note.x > column.right + 0.01) continue
      Object.assign(note, { x: place.x(note.x), y: place.y(note.y), placed: true })
    }
    const shorts = column.axes.map((name) => name.replace("axis", ""))
    for (const trace of data) {
      const bar = trace.colorbar ?? trace.marker?.colorbar
      if (!bar || bar.orientation === "h" || !shorts.includes(trace.xaxis ?? "x")) continue
      Object.assign(bar, { x: 1.02, xanchor: "left", y: (place.y(0) + place.y(1)) / 2, yanchor: "middle", len: place.y(1) - place.y(0) })
    }
  })
  for (const note of layout.annotations ?? []) delete note.placed
  const legend = { ...given.legend, ...layout.legend }
  if (legend.y > 1) layout.legend = { ...layout.legend, y: 1 + ((legend.y - 1) * before) / whole }
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const box = parentElement.querySelector(".regimes-chart")
  box.regimesClick = (place) => setTriggerValue("place", place)
  const content = new TextDecoder().decode(data)
  if (box.content === content) return
  box.content = content
  const draw = async (Plotly) => {
    const { figure, theme, alt, config } = JSON.parse(box.content)
    figure.layout.template = TEMPLATES[theme]
    box.setAttribute("aria-label", alt)
    box.isNarrow = box.offsetWidth < PHONE
    if (box.isNarrow) stack(figure)
    box.style.height = `${figure.layout.height}px`
    await Plotly.react(box, { ...figure, config })
    box.dataset.drawn = (Number(box.dataset.drawn) || 0) + 1
  }
  library().then(async (Plotly) => {
    if (box.content !== content) return // a newer one has come
    const first = !box.classList.contains("js-plotly-plot")
    await draw(Plotly)
    if (!first) return
    new ResizeObserver(() => {
      if (!box.offsetParent) return
      if (box.isNarrow === box.offsetWidth < PHONE) Plotly.Plots.resize(box)
      else draw(Plotly)
    }).observe(box)
    box.on("plotly_click", ({ event }) => {
      const { xaxis, yaxis } = box._fullLayout
      const corner = box.getBoundingClientRect()
      const x = xaxis.p2d(event.clientX - corner.left - xaxis._offset)
      const y = yaxis.p2d(event.clientY - corner.top - yaxis._offset)
      box.regimesClick({ x, y })
    })
  })
}
