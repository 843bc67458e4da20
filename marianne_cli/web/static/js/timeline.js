// Attempts in time: a lane for each sheet, a bar for each attempt, in the colour of the revision it ran under.
import { computed, html, signal, useEffect, useMemo } from "./lib.js";
import { pages } from "./net.js";
import { hue } from "./sheet.js";
import { events, go, job, now, route, addNote } from "./store.js";
import { between, duration, moment } from "./text.js";

const LANES_MOST = 60;
const APART_MS = 1000;
const WIDTH = 1000;
const known = signal({ job: null, of: new Map() });
const attempts = computed(() => [...known.value.of.values()]);
const shownAll = signal(false);
let asking = false;
let again = false; // something has happened meanwhile

// All of them once, then those that were in flight since: a job of thousands is not read again and again.
async function read(named) {
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  const before = known.value.job === named ? known.value.of : new Map();
  const times = [...before.values()].map((one) => one.ended_at ?? one.started_at);
  const since = times.length ? times.reduce((last, time) => (time > last ? time : last)) : null;
  try {
    const told = await pages("job.attempts", { job_id: named, since }, "attempts", "total");
    if (route.value.job !== named) return;
    const of = new Map(before);
    for (const one of told.attempts) of.set(`${one.run}/${one.sheet}/${one.attempt}/${one.started_at}`, one);
    known.value = { job: named, of };
  } catch (refusal) {
    addNote({ bad: true, text: refusal.message });
  } finally {
    setTimeout(() => {
      asking = false;
      if (again) {
        again = false;
        read(route.value.job);
      }
    }, APART_MS);
  }
}

const ticksOf = (span) => [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 604800].find((step) => span / step <= 8) ?? 2592000;

function Bar({ one, from, span, lane }) {
  const begin = (new Date(one.started_at) - from) / 1000;
  const end = ((one.ended_at ? new Date(one.ended_at) : now.value) - from) / 1000;
  const x = (begin / span) * WIDTH;
  const width = Math.max(2, ((end - begin) / span) * WIDTH);
  const bad = one.outcome && one.outcome !== "succeeded";
  return html`<g class=${`bar ${hue(one.revision)} ${one.outcome ?? "running"}`}>
    <rect x=${x} y=${lane * 24 + 5} width=${width} height="14" rx="3" />
    ${bad && html`<rect class="bad" x=${x + width - Math.min(4, width)} y=${lane * 24 + 5} width=${Math.min(4, width)} height="14" rx="2" />`}
  </g>`;
}

export function Timeline() {
  const named = route.value.job;
  const started = events.value.reduce((last, event) => (/^(attempt|hook)\.(started|ended)$/.test(event.type) ? event.event : last), 0);
  useEffect(() => void read(named), [named, started]);
  const lanes = useMemo(() => {
    const made = new Map();
    for (const one of attempts.value) {
      if (!made.has(one.sheet)) made.set(one.sheet, []);
      made.get(one.sheet).push(one);
    }
    return [...made.entries()];
  }, [attempts.value]);
  if (known.value.job !== named) return html`<p class="empty">Reading the attempts …</p>`;
  if (!lanes.length) return html`<p class="empty">No attempt has started.</p>`;
  const shown = shownAll.value ? lanes : lanes.slice(-LANES_MOST);
  const running = attempts.value.some((one) => !one.ended_at);
  const ends = attempts.value.map((one) => +new Date(one.ended_at ?? one.started_at));
  const from = new Date(shown.reduce((least, [, ones]) => Math.min(least, +new Date(ones[0].started_at)), Infinity));
  const until = running ? now.value : Math.max(...ends);
  const span = Math.max(1, (until - from) / 1000);
  const step = ticksOf(span);
  const ticks = Array.from({ length: Math.floor(span / step) + 1 }, (_, place) => place * step);
  const revisions = [...new Set(attempts.value.map((one) => one.revision))].sort((a, b) => a - b);
  return html`<section class="timeline" aria-label="Timeline of attempts">
    <p class="legend">${revisions.map((revision) => html`<button class=${`quiet rev ${hue(revision)}`} onClick=${() => go({ tab: "score" })}><i></i> revision ${revision}</button>`)}
      <span>bars end in red where an attempt did not succeed</span></p>
    ${shown.length < lanes.length && html`<button class="small" onClick=${() => (shownAll.value = true)}>Show ${lanes.length - shown.length} earlier lanes</button>`}
    <div class="lanes">
      <p class="ticks" aria-hidden="true">${ticks.map((at) => html`<span style=${{ left: `${(at / span) * 100}%` }}>${at ? `+${duration(at)}` : moment(from.toISOString())}</span>`)}</p>
      <div class="lane-names">${shown.map(([sheet, ones]) => html`<button class="quiet" key=${sheet} onClick=${() => go({ sheet, attempt: null })}>
        <b>${sheet}</b> ${ones[0].stage}.${ones[0].instance}</button>`)}</div>
      <div class="lane-bars">
        <svg viewBox=${`0 0 ${WIDTH} ${shown.length * 24}`} preserveAspectRatio="none" style=${{ height: `${shown.length * 24}px` }} aria-hidden="true">
          ${ticks.map((at) => html`<line x1=${(at / span) * WIDTH} x2=${(at / span) * WIDTH} y1="0" y2=${shown.length * 24} />`)}
          ${shown.map(([, ones], lane) => ones.map((one) => html`<${Bar} key=${`${one.sheet}/${one.attempt}`} one=${one} from=${from} span=${span} lane=${lane} />`))}
        </svg>
        ${shown.map(([sheet, ones], lane) => ones.map((one) => html`<button class="hit-bar" key=${`${sheet}/${one.attempt}`}
          style=${{ left: `${((new Date(one.started_at) - from) / 1000 / span) * 100}%`, top: `${lane * 24}px`, width: `${Math.max(0.6, (((one.ended_at ? new Date(one.ended_at) : now.value) - new Date(one.started_at)) / 1000 / span) * 100)}%` }}
          title=${`Sheet ${sheet}, attempt ${one.attempt}: ${one.outcome ?? "running"}, ${between(one.started_at, one.ended_at)}, revision ${one.revision}`}
          aria-label=${`Sheet ${sheet}, attempt ${one.attempt}, ${one.outcome ?? "running"}, revision ${one.revision}`}
          onClick=${() => go({ sheet, hook: null, attempt: one.attempt })}></button>`))}
      </div>
    </div>
    ${job.value && html`<p class="note">${attempts.value.length} attempts</p>`}
  </section>`;
}
