// The sheets by stages: a column for each step of the needs, instances in a grid, one bundle of edges a pair.
import { html, signal, useComputed, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./lib.js";
import { Glyph } from "./glyphs.js";
import { request } from "./acting.js";
import { cell, sheetChanges, flight, go, graph, idle, job, plan, route } from "./store.js";
import { ORDER, age, moment, plural, visible } from "./text.js";

const LIST_MOST = 12;
const GRID_MOST = 200;
const AT_ONCE = 400; // cells that are drawn in one frame: of thousands the first are there at once
const unfolded = signal(new Set());

// In which column a stage stands: behind all that it needs.
export function columns(stages) {
  const known = new Map(stages.map((stage) => [stage.stage, stage]));
  const depth = new Map();
  const of = (number, above) => {
    if (depth.has(number)) return depth.get(number);
    if (above.has(number)) return 0;
    above.add(number);
    const needs = (known.get(number)?.needs ?? []).filter((need) => known.has(need));
    const found = needs.length ? 1 + Math.max(...needs.map((need) => of(need, above))) : 0;
    depth.set(number, found);
    return found;
  };
  const made = [];
  for (const stage of stages) {
    const place = of(stage.stage, new Set());
    (made[place] ??= []).push(stage);
  }
  return made.filter(Boolean);
}

const sheetName = (sheet) => sheet.label || sheet.name || `sheet ${sheet.sheet}`;
const marked = (number) => job.value?.breakpoints.some((one) => one.sheet === number) ?? false;
const PLANNED = {
  kept: "kept",
  "kept-changed": "changed, stays completed",
  changed: "changed",
  added: "added",
  removed: "removed",
  rerun: "runs again",
  "in-flight": "in flight",
};
export const planned = (action) => PLANNED[action] ?? action;

function cellTitle(sheet, state, line, isMarked) {
  const parts = [`Sheet ${sheet.sheet}`, sheetName(sheet)];
  if (line) parts.push(`plan: ${planned(line.action)}${line.runs ? ", runs" : ""}`, line.why);
  else if (state) parts.push(state.status, state.error_message ?? "");
  if (isMarked) parts.push("breakpoint");
  return visible(parts.filter(Boolean).join(", "));
}

function statusWord(state) {
  if (!state) return "";
  if (state.status === "running") return age(state.started_at);
  if (state.status === "waiting") return state.until_at ? `${state.waiting_for} until ${moment(state.until_at)}` : `waits: ${state.waiting_for}`;
  if (state.status === "failed") return state.error_message ?? "failed";
  if (state.kept_back_by) return state.kept_back_by;
  if (state.attempt_count > 1) return `attempt ${state.attempt_count}`;
  return "";
}

const planText = (line) => [line.action === "kept" ? "" : planned(line.action), line.runs ? "runs" : ""].filter(Boolean).join(", ");

function Cell({ sheet, small, many, line }) {
  const state = cell(sheet.sheet).value;
  const status = line ? line.action : state?.status ?? "pending";
  // computed: a choice, or news of the job, draws those of a thousand again that it is about
  const selected = useComputed(() => route.value.sheet === sheet.sheet).value && !line?.removed;
  const isMarked = useComputed(() => marked(sheet.sheet)).value;
  const name = cellTitle(sheet, state, line, isMarked);
  const sign = line?.action === "kept" ? line.status ?? "pending" : status;
  const classes = [
    small ? "cell" : "row-cell",
    `s-${status}`,
    selected ? "selected" : "",
    isMarked ? "marked" : "",
    line ? `planned ${line.runs ? "runs" : ""}` : "",
  ];
  const choose = () => line?.action !== "removed" && go({ sheet: sheet.sheet, hook: null, attempt: null });
  return html`<button class=${classes.join(" ")} aria-label=${small ? name : null} title=${name} aria-pressed=${selected}
    data-sheet=${sheet.sheet} data-status=${status} onClick=${choose}>
    <${Glyph} of=${sign} title=${small ? null : status} />
    ${!small && html`<span class="name">${many ? html`<small>${sheet.stage}.${sheet.instance}</small> ` : ""}${visible(sheetName(sheet))}</span>
      <span class="word">${line ? planText(line) : statusWord(state)}</span>`}
  </button>`;
}

function Counts({ stage, lines }) {
  void sheetChanges.value;
  const found = new Map();
  for (const sheet of stage.sheets) {
    const status = lines ? lines.get(sheet.sheet)?.action : cell(sheet.sheet).value?.status;
    found.set(status ?? "pending", (found.get(status ?? "pending") ?? 0) + 1);
  }
  const order = lines ? [...found.keys()] : ORDER.filter((status) => found.has(status));
  const total = stage.sheets.length;
  return html`<div class="counts">
    <svg class="bar" viewBox=${`0 0 ${total} 1`} preserveAspectRatio="none" aria-hidden="true">
      ${order.map((status, place) => {
        const before = order.slice(0, place).reduce((sum, one) => sum + found.get(one), 0);
        return html`<rect class=${`s-${status}`} x=${before} width=${found.get(status)} height="1" />`;
      })}
    </svg>
    <p>${order.map((status) => html`<span class=${`count s-${status}`}><${Glyph} of=${status} /> ${found.get(status)} ${lines ? planned(status) : status}</span>`)}</p>
  </div>`;
}

async function toggle(stage, set) {
  const name = job.value.job_id;
  const where = stage.sheets.length > 1 ? `${stage.stage}.all` : String(stage.sheets[0].sheet);
  await request({
    method: "job.pause",
    params: { job_id: name, before: where, ...(set ? { clear: true } : {}) },
    line: `mzt pause ${name} --before ${where}${set ? " --clear" : ""}`,
  });
}

// The cells of a stage, so many more each frame.
function Cells({ stage, lines }) {
  const many = stage.sheets.length;
  const [drawn, more] = useState(AT_ONCE);
  useEffect(() => {
    if (drawn >= many) return undefined;
    const frame = requestAnimationFrame(() => more(drawn + AT_ONCE));
    return () => cancelAnimationFrame(frame);
  }, [drawn, many]);
  return useMemo(
    () => html`<div class=${many <= LIST_MOST ? "cells-list" : "cells"}>
      ${stage.sheets.slice(0, drawn).map((sheet) => html`<${Cell} key=${sheet.key ?? sheet.sheet} sheet=${sheet} small=${many > LIST_MOST} many=${many > 1} line=${lines?.get(sheet.key ?? sheet.sheet)} />`)}
    </div>`,
    [stage, lines, drawn],
  );
}

function Stage({ stage, lines }) {
  const many = stage.sheets.length;
  const key = `${route.value.job}/${stage.key ?? stage.stage}`;
  const folds = many > GRID_MOST;
  const open = unfolded.value.has(key) !== (many > LIST_MOST && !folds);
  const flip = () => {
    const known = new Set(unfolded.value);
    if (!known.delete(key)) known.add(key);
    unfolded.value = known;
  };
  const set = useComputed(() => stage.sheets.some((sheet) => marked(sheet.sheet))).value;
  const name = stage.sheets[0].name || (many === 1 ? null : stage.sheets[0].label);
  return html`<section class=${`stage ${many > 1 ? "fan" : ""} ${stage.gone ? "gone" : ""}`} data-stage=${stage.key ?? stage.stage}>
    <header>
      <h3>${stage.gone ? "removed" : `${stage.stage}`}${name && many > 1 ? html` <span>${visible(name)}</span>` : ""}</h3>
      ${many > 1 && html`<small>${plural(many, "sheet")}</small>`}
      ${!lines && html`<button class=${`break ${set ? "on" : ""}`} disabled=${idle.value !== "" || job.value.earlier} aria-pressed=${set}
        aria-label=${`Pause before stage ${stage.stage}`} title=${idle.value || (job.value.earlier ? "An earlier run: it is done with" : set ? "Clear the breakpoint" : "Pause before this stage")}
        onClick=${() => toggle(stage, set)}></button>`}
    </header>
    ${many > LIST_MOST && html`<${Counts} stage=${stage} lines=${lines} />`}
    ${(many <= LIST_MOST || open) && html`<${Cells} stage=${stage} lines=${lines} />`}
    ${many > LIST_MOST && html`<button class="quiet fold" aria-expanded=${open} onClick=${flip}>${open ? "Fold" : `Show ${plural(many, "sheet")}`}</button>`}
  </section>`;
}

// The edges are measured from where the stages stand, and drawn behind them.
function Edges({ box, stages, drawn }) {
  const [paths, set] = useState([]);
  useLayoutEffect(() => {
    const root = box.current;
    const measure = () => {
      const at = new Map([...root.querySelectorAll("[data-stage]")].map((node) => [node.dataset.stage, node]));
      const made = [];
      for (const stage of stages) {
        for (const need of stage.needs) {
          const from = at.get(String(need));
          const to = at.get(String(stage.key ?? stage.stage));
          if (!from || !to) continue;
          const x1 = from.offsetLeft + from.offsetWidth;
          const y1 = from.offsetTop + Math.min(26, from.offsetHeight / 2);
          const x2 = to.offsetLeft;
          const y2 = to.offsetTop + Math.min(26, to.offsetHeight / 2);
          const bend = Math.max(14, (x2 - x1) / 2);
          made.push(`M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`);
        }
      }
      set(made);
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(root);
    for (const node of root.querySelectorAll("[data-stage]")) observer.observe(node);
    return () => observer.disconnect();
  }, [stages, drawn]);
  return html`<svg class="edges" aria-hidden="true">${paths.map((path) => html`<path d=${path} />`)}</svg>`;
}

export function Stages({ stages, lines, label }) {
  const box = useRef(null);
  const made = useMemo(() => columns(stages), [stages]);
  return html`<div class="graph" role="group" aria-label=${label} onKeyDown=${move}>
    <div class="columns" ref=${box}>
      <${Edges} box=${box} stages=${stages} drawn=${lines} />
      ${made.map((column) => html`<div class="column">${column.map((stage) => html`<${Stage} key=${stage.key ?? stage.stage} stage=${stage} lines=${lines} />`)}</div>`)}
    </div>
  </div>`;
}

// Arrows, and the letters under the right hand, go from sheet to sheet.
function move(event) {
  const step = { ArrowDown: 1, ArrowRight: 1, j: 1, l: 1, ArrowUp: -1, ArrowLeft: -1, k: -1, h: -1 }[event.key];
  if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = [...event.currentTarget.querySelectorAll("[data-sheet]")];
  const here = all.indexOf(document.activeElement);
  if (here < 0) return;
  event.preventDefault();
  event.stopPropagation();
  all[Math.max(0, Math.min(all.length - 1, here + step))].focus();
}

export function Graph() {
  if (plan.value) return html`<${PlanGraph} />`;
  const made = graph.value;
  if (!made) return html`<p class="empty">Reading the sheets …</p>`;
  return html`<${Stages} stages=${made.stages} label="Sheets by stages" /><${InFlight} />`;
}

function InFlight() {
  const running = [...flight.value.values()].filter((item) => item.last_line);
  if (!running.length) return null;
  return html`<section class="alive" aria-label="What runs says">
    ${running.slice(0, 20).map((item) => html`<button class="alive-line" key=${`${item.sheet}/${item.hook}`}
      onClick=${() => go({ sheet: item.sheet, hook: item.hook, attempt: null })}>
      <b>${item.hook ? `hook ${item.hook}` : `sheet ${item.sheet}`}</b> <span>${visible(item.last_line)}</span></button>`)}
  </section>`;
}

// --- what would become of them ----------------------------------------------------------------------------

// A plan as stages: those of the new score with its needs, and what is removed apart.
export function stagesOf(told, explained) {
  const made = new Map();
  const needs = new Map();
  const at = new Map((explained ?? []).map((sheet) => [sheet.sheet, sheet]));
  for (const line of told.plan) {
    const gone = line.sheet === null;
    const key = gone ? `gone-${line.stage}` : line.stage;
    if (!made.has(key)) made.set(key, { stage: line.stage, key, gone, sheets: [], needs: [] });
    const known = at.get(line.sheet);
    made.get(key).sheets.push({
      sheet: gone ? line.old_sheet : line.sheet,
      key: gone ? `gone-${line.old_sheet}` : line.sheet,
      instance: line.instance,
      name: line.name,
      label: known?.label ?? known?.description ?? line.name,
      stage: line.stage,
    });
    if (!gone) {
      const stages = needs.get(line.stage) ?? new Set();
      for (const need of known?.needs ?? known?.dependencies ?? []) if (at.has(need) && at.get(need).stage !== line.stage) stages.add(at.get(need).stage);
      needs.set(line.stage, stages);
    }
  }
  for (const [key, stage] of made) if (!stage.gone) stage.needs = [...(needs.get(key) ?? [])];
  return [...made.values()];
}

function PlanGraph() {
  const told = plan.value;
  const stages = useMemo(() => stagesOf(told.reply, told.explained), [told]);
  const lines = useMemo(() => new Map(told.reply.plan.map((line) => [line.sheet ?? `gone-${line.old_sheet}`, line])), [told]);
  return html`<${Stages} stages=${stages} lines=${lines} label="What would become of each sheet" />`;
}
