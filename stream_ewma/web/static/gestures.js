// Wheel, pinch and finger on a plot. (Dragging with the mouse is uPlot's own.)

const STEP = 1.2;

/**
 * Zoom and point on `area`, the surface of a plot.
 *
 * `zoom(factor, x)` and `point(x)` get places in pixels from the left of the area. A plain wheel
 * scrolls the page, until the plot has the focus: a page full of plots must not catch it.
 */
export function attachGestures(area, { zoom, point }) {
  const fingers = new Map();
  const across = (event) => event.clientX - area.getBoundingClientRect().left;

  area.addEventListener(
    "wheel",
    (event) => {
      const meant = event.ctrlKey || event.metaKey || area.closest(".plot")?.matches(":focus");
      if (!meant || event.deltaY === 0) return;
      event.preventDefault();
      zoom(event.deltaY > 0 ? STEP : 1 / STEP, across(event));
    },
    { passive: false },
  );

  const spread = () => {
    const [first, second] = [...fingers.values()];
    return { distance: Math.abs(first - second) + 1, middle: (first + second) / 2 };
  };
  area.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "touch") return;
    fingers.set(event.pointerId, across(event));
    if (fingers.size === 1) point(across(event));
  });
  area.addEventListener("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return;
    const before = fingers.size === 2 ? spread() : null;
    fingers.set(event.pointerId, across(event));
    if (before) zoom(before.distance / spread().distance, spread().middle);
    else if (fingers.size === 1) point(across(event));
  });
  for (const name of ["pointerup", "pointercancel"]) {
    area.addEventListener(name, (event) => fingers.delete(event.pointerId));
  }
}
