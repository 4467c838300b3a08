// One key for each thing, as long as nothing is being typed.

const TYPING = "input, textarea, select, [contenteditable]";
const PRESSABLE = "button, a, summary";

/** `actions` by key, as the browser names it. */
export function listenForShortcuts(actions) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.matches(TYPING) || document.querySelector("dialog[open]")) return;
    // The space key presses the button that has the focus.
    if (event.key === " " && target.matches(PRESSABLE)) return;
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action(event);
  });
}
