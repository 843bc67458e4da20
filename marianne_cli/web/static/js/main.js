// The page as a whole: the bar above, what is said for a while, the keys, and which part is shown.
import { computed, html, render, signal } from "./lib.js";
import { Dialog, Line, dialogRequest, requestOrConfirm } from "./acting.js";
import { TABS, Job } from "./job.js";
import { Jobs, NoJobOpen, requestForAll } from "./jobs.js";
import { edit } from "./score.js";
import { begin, daemon, go, removeNote, idle, job, link, notes, now, plan, readOnly, route, rows, addNote } from "./store.js";
import { cost, duration, moment, visible } from "./text.js";

const help = signal(false);
const theme = signal(localStorage.getItem("theme") ?? "auto");
const THEMES = { auto: "Auto", light: "Light", dark: "Dark" };

function setTheme(name) {
  theme.value = name;
  localStorage.setItem("theme", name);
  document.documentElement.dataset.theme = name;
}
document.documentElement.dataset.theme = theme.value;

const LOST = {
  opening: "Connecting …",
  away: "The dashboard does not answer: what you see was so when it was last heard. If its terminal was closed, start it again:",
  ended: "The dashboard has ended: what you see was so when it was last heard. Start it again:",
  session: "This page has no session, or it is over. Open a new address:",
  many: "Too many windows show this page: close one or let a tab cover it, and this one goes on by itself.",
};
const CURE = { away: "mzt dashboard", ended: "mzt dashboard", session: "mzt dashboard --url" };

function Banner() {
  const state = link.value.state;
  if (state !== "open") return html`<div class="banner" role="status">${LOST[state]} ${CURE[state] && html`<${Line} text=${CURE[state]} />`}</div>`;
  if (daemon.value.refusal) return html`<div class="banner" role="status">The daemon does not tell what this page needs (${visible(daemon.value.refusal)}); it may be an older one: <${Line} text="mzt restart" /></div>`;
  if (daemon.value.up) return null;
  void now.value;
  return html`<div class="banner" role="status">The daemon has not answered for ${duration(now.value / 1000 - daemon.value.since)}: what you see was so before. Attempts in flight go on without it. <${Line} text="mzt start" /></div>`;
}

// What the newest runs have cost, together.
const spent = computed(() => {
  const costs = [...rows.value.values()].map((row) => row.cost);
  return { usd: costs.reduce((sum, one) => sum + one.usd, 0), known: costs.every((one) => one.known) };
});

function Top() {
  const told = daemon.value.daemon;
  const order = Object.keys(THEMES);
  return html`<header class="top">
    <a class="brand" href="#/">Marianne</a>
    ${told.slots && html`<span class="fact" title="Attempts in flight, of those that may be"><b>${told.slots.used}</b> of ${told.slots.total} slots</span>`}
    ${spent.value.usd > 0 && html`<span class="fact" title="What the newest runs of all jobs have cost"><b>${cost(spent.value)}</b> spent</span>`}
    ${told.status && told.status !== "ready" && html`<span class="fact warn">${told.status}${told.degraded_by.length ? `: ${visible(told.degraded_by.join("; "))}` : ""}</span>`}
    ${told.rate_limits?.slice(0, 3).map((one) => html`<span class="fact warn">${visible(one.instrument)} limited until ${moment(one.until_at)}</span>`)}
    <span class="stretch"></span>
    ${readOnly.value && html`<span class="fact">read-only</span>`}
    <button class="quiet" onClick=${() => setTheme(order[(order.indexOf(theme.value) + 1) % order.length])} title="Light, dark, or as the system">${THEMES[theme.value]}</button>
    <button class="quiet" aria-label="Keys" title="Keys (?)" onClick=${() => (help.value = true)}>?</button>
  </header>`;
}

function Notes() {
  return html`<div class="notes" role="status" aria-live="polite">${notes.value.map((note) => html`<div class=${`note-box ${note.bad ? "bad" : ""}`} key=${note.identity}>
    <p>${visible(note.text)}${note.code && note.code !== "session" ? html` <small>${note.code}</small>` : ""}</p>
    ${note.done === false && html`<p class="note">Accepted; this page shows when it is carried out.</p>`}
    ${note.lines?.slice(0, 3).map((line) => html`<${Line} text=${line} />`)}
    <button class="quiet close" aria-label="Close" onClick=${() => removeNote(note.identity)}>×</button></div>`)}</div>`;
}

const KEYS = [
  ["?", "these keys"],
  ["/", "search or filter what is shown"],
  ["j k", "next, previous job or sheet"],
  ["1 … 7", Object.values(TABS).join(", ")],
  ["p", "pause"],
  ["r", "resume"],
  ["t", "try now"],
  ["e", "edit the score"],
  ["b", "breakpoint before the chosen sheet"],
  ["P C X", "pause, resume, cancel all jobs that the list shows"],
  ["Ctrl Enter", "plan the change, in the editor"],
  ["G", "end of the output, follow"],
  ["y", "copy the address of what is shown"],
  ["Esc", "close, back"],
];

function Help() {
  if (!help.value) return null;
  const shown = (node) => node && !node.open && node.showModal();
  return html`<dialog ref=${shown} onClose=${() => (help.value = false)} aria-labelledby="keys"><h2 id="keys">Keys</h2>
    <dl class="keys">${KEYS.map(([key, word]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${word}</dd></div>`)}</dl>
    <div class="row"><button class="strong" autofocus onClick=${() => (help.value = false)}>Close</button></div></dialog>`;
}

function Page() {
  const named = route.value.job;
  document.title = job.value ? `${job.value.status}: ${job.value.job_name}` : "Marianne";
  return html`<${Top} /><${Banner} /><div class=${`frame ${named ? "has-job" : ""}`}><${Jobs} />${named ? html`<${Job} />` : html`<${NoJobOpen} />`}</div><${Notes} /><${Dialog} /><${Help} />`;
}

// --- keys -------------------------------------------------------------------------------------------------

const offer = (name) => job.value?.offers.find((one) => one.name === name);
function ask(name) {
  if (!offer(name)) return;
  if (idle.value) addNote({ bad: true, text: idle.value });
  else requestOrConfirm(offer(name));
}

function back() {
  if (plan.value) plan.value = null;
  else if (route.value.sheet || route.value.hook) go({ sheet: null, hook: null, attempt: null, find: "", filter: "" });
  else if (route.value.job) go({ job: null, tab: "graph" });
}

function step(by) {
  const all = [...document.querySelectorAll(route.value.job && route.value.tab === "graph" ? "[data-sheet]" : "[data-job]")];
  if (!all.length) return;
  const here = all.indexOf(document.activeElement);
  all[here < 0 ? 0 : Math.max(0, Math.min(all.length - 1, here + by))].focus();
}

const PRESSED = {
  "?": () => (help.value = true),
  "/": () => [...document.querySelectorAll(".find")].at(-1)?.focus(),
  p: () => ask("pause"),
  r: () => ask("resume"),
  t: () => ask("retry"),
  e() {
    if (!route.value.job) return;
    edit();
    go({ tab: "score" });
  },
  b: () => [...document.querySelectorAll(".panel [data-offer]")].find((node) => /breakpoint|pause before/.test(node.dataset.offer))?.click(),
  P: () => requestForAll("pause"),
  C: () => requestForAll("resume"),
  X: () => requestForAll("cancel"),
  j: () => step(1),
  k: () => step(-1),
  G: () => document.querySelector('[data-key="G"]')?.click(),
  y: () => navigator.clipboard?.writeText(location.href),
  Escape: back,
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (dialogRequest.value || help.value) {
    // at once: a dialog tells of its end later than it ends, and a key that follows would find it still there
    if (event.key !== "Escape") return;
    dialogRequest.value = null;
    help.value = false;
    event.preventDefault();
    return;
  }
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && event.target.type !== "checkbox") {
    if (event.key !== "Escape") return;
    if (event.target.type === "search" && event.target.value) {
      event.target.value = "";
      event.target.dispatchEvent(new Event("input", { bubbles: true }));
    }
    event.target.blur();
    return;
  }
  const tab = Object.keys(TABS)[Number(event.key) - 1];
  if (tab && route.value.job) go({ tab });
  else if (PRESSED[event.key]) PRESSED[event.key]();
  else return;
  event.preventDefault();
});

render(html`<${Page} />`, document.getElementById("page"));
begin();
