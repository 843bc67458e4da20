// What the page knows: told by the stream, kept in signals, and the address, which says what is looked at.
import { batch, computed, effect, signal } from "./lib.js";
import { Stream, ask, enter } from "./net.js";
import { setOwnUid } from "./text.js";

export const link = signal({ state: "opening" });
export const daemon = signal({ up: true, daemon: {} });
export const readOnly = signal(false);
export const rows = signal(new Map());
export const known = signal(false); // whether the daemon has told this page which jobs there are
export const job = signal(null);
export const problem = signal(null);
export const graph = signal(null);
export const flight = signal(new Map());
export const events = signal([]);
export const route = signal(read());
export const notes = signal([]);
export const plan = signal(null);
export const now = signal(Date.now());
// Why nothing can be asked now; empty: it can.
export const idle = computed(() => {
  if (readOnly.value) return "This page is read-only.";
  if (link.value.state !== "open") return "This page is not connected: nothing can be asked now.";
  return daemon.value.up ? "" : "The daemon does not answer: nothing can be asked now.";
});
setInterval(() => (now.value = Date.now()), 1000);

// --- the address ------------------------------------------------------------------------------------------

function read() {
  const [path, query = ""] = location.hash.slice(1).split("?");
  const given = Object.fromEntries(new URLSearchParams(query));
  const [, kind, name] = path.split("/");
  const number = (text) => (/^\d+$/.test(text ?? "") ? Number(text) : null);
  let named = null;
  try {
    named = kind === "job" && name ? decodeURIComponent(name) : null;
  } catch {
    // no address of ours
  }
  return {
    job: named,
    tab: given.tab || "graph",
    sheet: number(given.sheet),
    hook: number(given.hook),
    attempt: number(given.attempt),
    view: given.view || "output",
    find: given.find || "",
    filter: given.filter || "",
  };
}

const DEFAULTS = { tab: "graph", view: "output" };

export function href(changes) {
  const wanted = { ...route.value, ...changes };
  const query = new URLSearchParams();
  for (const key of ["tab", "sheet", "hook", "attempt", "view", "find", "filter"]) {
    if (wanted[key] && wanted[key] !== DEFAULTS[key]) query.set(key, wanted[key]);
  }
  const asked = query.toString();
  return `#${wanted.job ? `/job/${encodeURIComponent(wanted.job)}` : "/"}${asked ? `?${asked}` : ""}`;
}

export function go(changes, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", href(changes));
  route.value = read();
}

addEventListener("hashchange", () => (route.value = read()));
addEventListener("popstate", () => (route.value = read()));

// --- sheets: a signal each, so that one of a thousand is drawn again alone --------------------------------

const cells = new Map();
export const cell = (number) => {
  if (!cells.has(number)) cells.set(number, signal(null));
  return cells.get(number);
};
export const sheetChanges = signal(0); // grows with each change of any sheet
export const sheets = () => [...cells.values()].map((one) => one.value).filter(Boolean);

// --- output -----------------------------------------------------------------------------------------------

const EVENTS_MOST = 5000;
const CHUNK = 200;
const CHUNKS_MOST = 60;
export const log = signal(nothing());

function nothing() {
  return { of: null, head: null, chunks: [], dropped: 0, ended: false, problem: null, count: 0 };
}

// Lines come in order; they are kept in pieces, of which only the last is drawn again.
function addLines(lines) {
  const kept = log.value;
  const chunks = [...kept.chunks];
  let { dropped, count } = kept;
  for (const line of lines) {
    const last = chunks.at(-1);
    if (!last || last.lines.length >= CHUNK) chunks.push({ first: count, lines: [line] });
    else chunks[chunks.length - 1] = { first: last.first, lines: [...last.lines, line] };
    count += 1;
  }
  while (chunks.length > CHUNKS_MOST) dropped += chunks.shift().lines.length;
  log.value = { ...kept, chunks, dropped, count };
}

// --- the stream -------------------------------------------------------------------------------------------

const HEARD = {
  hello(told) {
    readOnly.value = told.read_only;
    setOwnUid(told.uid);
    link.value = { state: "open" };
    rows.value = new Map();
    flight.value = new Map();
    watched = "";
    refresh();
  },
  bye: () => {},
  daemon(told) {
    daemon.value = told;
    if (told.up) known.value = true;
  },
  jobs(told) {
    const known = new Map(rows.value);
    for (const name of told.gone) known.delete(name);
    for (const row of told.jobs) known.set(row.job_name, row);
    rows.value = known;
  },
  job(told) {
    if (told.job !== route.value.job) return;
    const before = job.value?.status;
    job.value = told.state;
    if (before && before !== told.state?.status && !["pausing", "cancelling"].includes(told.state?.status) && notes.value.some((note) => note.done === false)) {
      removeNotes((note) => note.done === false);
      addNote({ text: `${told.state.job_name}: ${told.state.status}` });
    }
    problem.value = told.problem;
  },
  graph(told) {
    if (told.job !== route.value.job) return;
    const stages = new Map();
    for (const values of told.sheets) {
      const sheet = Object.fromEntries(told.keys.map((key, place) => [key, values[place]]));
      if (!stages.has(sheet.stage)) stages.set(sheet.stage, { stage: sheet.stage, sheets: [], needs: told.needs[sheet.stage] ?? [] });
      stages.get(sheet.stage).sheets.push(sheet);
    }
    graph.value = { revision: told.revision, stages: [...stages.values()], moving: told.moving };
    for (const known of cells.keys()) if (known > told.sheets.length) cells.delete(known);
  },
  sheets(told) {
    if (told.job !== route.value.job || !graph.value) return;
    const keys = graph.value.moving;
    for (const values of told.sheets) {
      cell(values[0]).value = Object.fromEntries(keys.map((key, place) => [key, values[place]]));
    }
    sheetChanges.value += 1;
  },
  flight(told) {
    if (told.job !== route.value.job) return;
    const known = new Map(flight.value);
    for (const key of told.out) known.delete(key);
    for (const item of told.in) known.set(`${item.sheet ?? 0}/${item.hook ?? 0}`, item);
    flight.value = known;
  },
  events(told) {
    if (told.job !== route.value.job) return;
    if (told.gap) return void readHistory(told.job); // this tab was slow: some were not kept for it
    const last = events.value.at(-1)?.event ?? 0;
    events.value = [...events.value, ...told.events.filter((event) => event.event > last)];
    if (events.value.length > EVENTS_MOST) {
      earlier.value += events.value.length - EVENTS_MOST;
      events.value = events.value.slice(-EVENTS_MOST);
    }
  },
  log(told) {
    if (told.begin) log.value = { ...nothing(), of: told.of, head: told.begin };
    else if (told.problem) log.value = { ...nothing(), of: told.of, problem: told.problem };
    else if (told.end) log.value = { ...log.value, ended: true };
    else if (log.value.head) addLines(told.lines);
  },
};

const shownJob = computed(() => route.value.job);
const journal = computed(() => ["journal", "timeline"].includes(route.value.tab));
let stream = null;
let watched = "";

const outputs = computed(() => {
  const { job: named, sheet, hook, attempt, view } = route.value;
  if (named && route.value.tab === "output" && !sheet && !hook) return { job_id: named };
  if (!named || view !== "output" || (!sheet && !hook)) return null;
  const newest = sheet ? cell(sheet).value?.attempt_count : job.value?.hooks?.find((one) => one.hook === hook)?.attempt_count;
  return newest ? { job_id: named, sheet, hook, attempt: attempt ?? newest } : null;
});

function refresh() {
  const wanted = JSON.stringify({ job: route.value.job, journal: journal.value, log: outputs.value });
  if (wanted === watched || !stream?.name) return;
  watched = wanted;
  log.value = nothing();
  stream.watch(JSON.parse(wanted));
}

export const earlier = signal(0); // entries of the journal before those that are known here

export async function readEarlier() {
  const named = route.value.job;
  try {
    const first = events.value[0]?.event ?? 0;
    const told = await ask("job.history", { job_id: named, limit: 1000, offset: events.value.length });
    if (route.value.job !== named) return;
    const before = told.entries.filter((event) => event.event < first);
    earlier.value = before.length ? Math.max(0, earlier.value - before.length) : 0;
    events.value = [...before, ...events.value];
  } catch (refusal) {
    addNote({ bad: true, text: refusal.message, lines: refusal.hints });
  }
}

async function readHistory(named) {
  try {
    const told = await ask("job.history", { job_id: named, limit: 300 });
    if (route.value.job !== named) return;
    earlier.value = told.total - told.entries.length;
    const newest = told.entries.at(-1)?.event ?? 0;
    events.value = [...told.entries, ...events.value.filter((event) => event.event > newest)];
  } catch (refusal) {
    addNote({ bad: true, text: refusal.message, lines: refusal.hints });
  }
}

export async function begin() {
  if (!(await enter())) link.value = { state: "session" };
  route.value = read(); // the token is out of the address, and no event tells of it
  stream = new Stream(
    (kind, told) => batch(() => HEARD[kind](told)),
    (state) => (link.value = { state }),
  );
  let shown = null;
  effect(() => {
    const named = route.value.job;
    if (named === shown) return;
    shown = named;
    batch(() => {
      job.value = problem.value = graph.value = plan.value = null;
      events.value = [];
      flight.value = new Map();
      cells.clear();
    });
  });
  effect(() => {
    void outputs.value;
    void journal.value;
    void route.value;
    refresh();
  });
  effect(() => {
    const named = shownJob.value;
    if (link.value.state === "open" && named && journal.value) readHistory(named);
  });
}

// --- what is said for a while -----------------------------------------------------------------------------

let noted = 0;
export function addNote(note) {
  const identity = (noted += 1);
  notes.value = [...notes.value, { ...note, identity }].slice(-4);
  if (!note.bad) setTimeout(() => removeNote(identity), note.done === false ? 20_000 : 6_000);
}
export const removeNotes = (which) => (notes.value = notes.value.filter((note) => !which(note)));
export const removeNote = (identity) => (notes.value = notes.value.filter((note) => note.identity !== identity));
