// The live page: what the service smooths, and how it is.

import { ask, askKey } from "./asking.js";
import { Board } from "./board.js";
import { byId, make, setText } from "./dom.js";
import { Naming, smoothingWords } from "./names.js";
import { forgetColours } from "./palette.js";
import { Picker } from "./picker.js";
import { listenForShortcuts } from "./shortcuts.js";
import { Status } from "./status.js";
import { Stream } from "./stream.js";

const FIRST_KEYS = 6;
const MOST_KEYS = 24;
const IDLE_MS = 3_000;
const GATHER_MS = 400;
const OTHERS = 20;

const root = document.documentElement;
const status = new Status();
/** Whether keys are still chosen by the page: the first ones that move. */
let isGathering = true;
let keys = [];
let connection = "connecting";
let waiting = 0;
let rewatching = 0;

const board = new Board(byId("panels"), { remove: toggle, changed: showZoom, layers: showLegend });
const picker = new Picker({ isChosen: (key) => keys.includes(key), toggle });
const stream = new Stream({
  sample: take,
  rejected: (record) => status.reject(record),
  status: (body) => status.show(body),
  state: showConnection,
});

// -- keys -------------------------------------------------------------------------------------------

function take(sample) {
  if (isGathering && !keys.includes(sample.key) && keys.length < FIRST_KEYS) choose(sample.key);
  if (board.add(sample) && board.isPaused) {
    waiting += 1;
    showPause();
  }
}

function choose(key) {
  keys = [...keys, key].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  if (keys.length >= FIRST_KEYS) isGathering = false;
  keysChanged();
}

function toggle(key) {
  isGathering = false;
  if (keys.includes(key)) {
    keys = keys.filter((each) => each !== key);
  } else if (keys.length < MOST_KEYS) {
    keys = [...keys, key];
  } else {
    return announce(`${MOST_KEYS} series at once are enough: remove one first`);
  }
  const query = new URLSearchParams(keys.map((each) => ["key", each]));
  history.replaceState(null, "", keys.length ? `#${query}` : location.pathname);
  keysChanged();
}

function keysChanged() {
  const fresh = keys.filter((key) => !board.keys.includes(key));
  board.show(keys);
  byId("nothing").hidden = keys.length > 0;
  picker.refresh();
  clearTimeout(rewatching);
  rewatching = setTimeout(watch, GATHER_MS);
  if (!isGathering) for (const key of fresh) void recall(key);
}

function watch() {
  stream.watch(keys, isGathering ? OTHERS : 0);
}

/** What a key's state is, until a record comes; or that none will come here. */
async function recall(key) {
  try {
    const { state, owner } = await askKey(key);
    if (state) board.showState(key, { outputs: { ewma: state.ewma, count: state.count } });
    if (owner) board.showElsewhere(key, owner);
  } catch {
    // No answer: the connection's own state says so.
  }
}

/** Nothing moves: the first keys there are, then. */
async function chooseIdle() {
  if (!isGathering || keys.length) return;
  const page = await ask(`/v1/keys?limit=${FIRST_KEYS}`);
  if (!isGathering || keys.length) return;
  for (const found of page?.keys ?? []) {
    choose(found.key);
    board.showState(found.key, { outputs: { ewma: found.ewma, count: found.count } });
  }
  if (!keys.length) setTimeout(chooseIdle, IDLE_MS);
}

// -- what is shown ----------------------------------------------------------------------------------

function showConnection(state) {
  if (state === "open" && connection !== "open") {
    status.reconnected();
    void configure();
  }
  connection = state;
  const shown = { open: "live", reconnecting: "reconnecting …", hidden: "asleep" }[state];
  byId("connection").dataset.state = state;
  setText(byId("connection"), shown ?? "connecting …");
}

async function configure() {
  const config = await ask("/config");
  if (!config) return;
  const topics = config.input.topics;
  const output = config.output.topic ?? topics.map((topic) => `${topic}-ewma`).join(", ");
  setText(byId("input"), topics.join(", "));
  setText(byId("smoothing"), smoothingWords(config.smoothing));
  setText(byId("output"), output);
  byId("flow").hidden = false;
  document.title = `${config.application_id} · live`;
  board.name(new Naming(config));
}

function showLegend() {
  const buttons = board.groups().map((layer) => {
    const isOn = !board.view.hidden.has(layer.group);
    const button = make(
      "button",
      { type: "button", class: "toggle", "aria-pressed": isOn, "data-group": layer.group },
      make("span", { class: `swatch ${layer.shape} ${layer.colour}`, "aria-hidden": "true" }),
      layer.group,
    );
    button.addEventListener("click", () => {
      board.toggle(layer.group);
      button.setAttribute("aria-pressed", String(!board.view.hidden.has(layer.group)));
    });
    return button;
  });
  byId("legend").replaceChildren(...buttons);
}

function showZoom() {
  byId("reset").hidden = board.zoom === null;
}

function pause() {
  board.pause(!board.isPaused);
  waiting = 0;
  showPause();
}

function showPause() {
  byId("pause").setAttribute("aria-pressed", String(board.isPaused));
  setText(byId("pause-text"), board.isPaused ? "Resume" : "Pause");
  root.classList.toggle("paused", board.isPaused);
  setText(byId("waiting"), board.isPaused ? `paused · ${waiting.toLocaleString("en")} newer` : "");
}

function announce(text) {
  setText(byId("announce"), text);
}

// -- the page ---------------------------------------------------------------------------------------

function help() {
  byId("help").showModal();
}

function switchTheme() {
  root.dispatchEvent(new CustomEvent("theme-switch"));
}

root.addEventListener("theme", () => {
  forgetColours();
  board.repaint();
});
byId("theme").addEventListener("click", switchTheme);
byId("pause").addEventListener("click", pause);
byId("reset").addEventListener("click", () => board.resetZoom());
byId("help-open").addEventListener("click", help);
byId("help-close").addEventListener("click", () => byId("help").close());
byId("window").addEventListener("change", (event) => {
  board.setWindow(event.target.value === "auto" ? null : Number(event.target.value) * 1000);
});
listenForShortcuts({
  " ": pause,
  "/": () => picker.focus(),
  r: () => board.resetZoom(),
  t: switchTheme,
  "?": help,
  "+": () => board.zoomBy(1 / 1.5),
  "-": () => board.zoomBy(1.5),
  ArrowLeft: (event) => board.step(event.shiftKey ? -10 : -1),
  ArrowRight: (event) => board.step(event.shiftKey ? 10 : 1),
  Escape: () => board.point(null),
});

const asked = new URLSearchParams(location.hash.slice(1)).getAll("key").slice(0, MOST_KEYS);
isGathering = asked.length === 0;
keys = [...new Set(asked)];
board.show(keys);
byId("nothing").hidden = keys.length > 0;
watch();
void configure();
if (isGathering) setTimeout(chooseIdle, IDLE_MS);
else for (const key of keys) void recall(key);
