// The score: its revisions side by side, an editor with the problems in place, and a change as a plan.
import { html, signal, useEffect, useMemo, useRef } from "./lib.js";
import { Line } from "./acting.js";
import { planned } from "./graph.js";
import { ask, change, pages } from "./net.js";
import { hue } from "./sheet.js";
import { go, removeNotes, idle, job, plan, readOnly, route, addNote } from "./store.js";
import { moment, ranges, visible, who } from "./text.js";

const editing = signal(false); // the editor is to take the keys
const nothing = { job: null, revisions: [], text: "", base: null, problems: [], left: null, right: null, mode: "edit", busy: false };
export const draft = signal(nothing);
const set = (changes) => (draft.value = { ...draft.value, ...changes });

// Have the editor take the keys, whatever is shown in its place.
export function edit() {
  editing.value = true;
  set({ mode: "edit" });
}

async function read(named) {
  try {
    const told = await ask("job.revisions", { job_id: named, limit: 1 });
    const newest = told.revisions.filter((one) => one.status !== "dropped").at(-1);
    const whole = await ask("job.revisions", { job_id: named, revision: newest.revision, limit: 1 });
    const kept = draft.value;
    const edited = kept.job === named && kept.base && kept.text !== kept.stored;
    set({
      ...(kept.job === named ? {} : nothing), // what was compared is of the other job
      ...(edited ? {} : { text: whole.text, stored: whole.text, base: newest, problems: [] }),
      job: named,
      revisions: told.revisions,
      newest,
    });
  } catch (refusal) {
    addNote({ bad: true, text: refusal.message, lines: refusal.hints });
  }
}

const place = (base) => ({ file: base.config_file, directory: base.directory, expect: base.revision });
const EDITED = "EDITED.yaml"; // the text of the editor is in no file

// What the daemon says a change would do, drawn on the graph; its problems stand in the editor.
async function look() {
  const { job: named, text, base } = draft.value;
  set({ busy: true });
  try {
    const asked = { job_id: named, text, plan: true, ...place(base) };
    const reply = await pages("job.modify", asked, "plan", "plan_total");
    const explained = await pages("score.validate", { text, directory: base.directory, file: base.config_file, submit_directory: base.directory, explain: true }, "sheets", "total_sheets").catch(() => ({ sheets: [] }));
    set({ problems: reply.problems, busy: false });
    plan.value = { reply, explained: explained.sheets, score: true };
    removeNotes((note) => note.bad);
    go({ tab: "graph", sheet: null });
  } catch (refusal) {
    set({ problems: refusal.problems, busy: false, mode: "edit" });
    addNote({ bad: true, text: refusal.message, code: refusal.code, lines: refusal.hints });
  }
}

async function apply(resume) {
  const told = plan.value;
  const { job: named, text, base } = draft.value;
  const params = told.score ? { job_id: named, text, resume, ...place(base) } : { ...told.offer.params };
  try {
    const reply = await change(told.score ? "job.modify" : told.offer.method, params);
    plan.value = null;
    if (told.score) set({ ...nothing, job: null });
    addNote({ text: reply.message, lines: [told.score ? `mzt modify ${named} -c ${EDITED}${resume ? " -r" : ""}` : told.offer.line], done: reply.acknowledged });
    go({ tab: "graph" });
  } catch (refusal) {
    addNote({ bad: true, text: refusal.message, code: refusal.code, lines: refusal.hints });
  }
}

// What is above the graph while a plan is shown on it.
export function PlanBar() {
  const told = plan.value;
  const first = useRef(null);
  useEffect(() => first.current?.focus(), [told]);
  if (!told) return null;
  const reply = told.reply;
  const counts = new Map();
  for (const line of reply.plan) counts.set(line.action, (counts.get(line.action) ?? 0) + 1);
  const runs = reply.plan.filter((line) => line.runs && line.sheet !== null).map((line) => line.sheet);
  const score = told.score;
  const nothingNew = score && reply.changed === false;
  const name = job.value.job_id;
  const line = score ? `mzt modify ${name} -c ${EDITED}` : told.offer.line;
  return html`<section class="plan-bar" aria-label="Plan">
    <div>
      <h2>${score ? (nothingNew ? "This score equals the newest revision" : `Plan for revision ${reply.new_revision}`) : "Plan"} <small>nothing is changed yet</small></h2>
      <p class="counts">${[...counts].map(([action, count]) => html`<span class=${`count s-${action}`}>${count} ${planned(action)}</span>`)}
        <span class="count">${runs.length ? `runs: ${ranges(runs)}` : "nothing runs"}</span></p>
    </div>
    <div class="plan-acts">
      ${score && html`<button disabled=${idle.value !== "" || nothingNew} onClick=${() => apply(false)} title=${idle.value || line}>Apply</button>`}
      <button class="strong" ref=${first} disabled=${idle.value !== "" || nothingNew} onClick=${() => apply(true)} title=${idle.value || (score ? `${line} -r` : line)}>${score ? "Apply and resume" : "Do it"}</button>
      <button onClick=${() => {
        plan.value = null;
        if (score) go({ tab: "score" });
      }}>${score ? "Back to the editor" : "Leave it"}</button>
    </div>
    <${Line} text=${score ? `${line} -r` : line} />
    ${score && html`<p class="note">${EDITED} stands for this text, saved in a file${draft.value.base?.config_file ? html`; ${visible(draft.value.base.config_file)} stays as it is` : ""}.</p>`}
  </section>`;
}

export function PlanLines() {
  const told = plan.value;
  if (!told) return null;
  const telling = told.reply.plan.filter((line) => line.action !== "kept" || line.runs).slice(0, 200);
  if (!telling.length) return html`<p class="note">All sheets are kept.</p>`;
  return html`<table class="plan-lines"><thead><tr><th>Sheet</th><th>Stage</th><th>Now</th><th>Plan</th><th>Runs</th><th>Why</th></tr></thead>
    <tbody>${telling.map((line) => html`<tr key=${line.sheet ?? `gone-${line.old_sheet}`}>
      <td>${line.sheet ?? `was ${line.old_sheet}`}${line.sheet && line.old_sheet && line.sheet !== line.old_sheet ? ` (was ${line.old_sheet})` : ""}</td>
      <td>${line.stage}.${line.instance} ${line.name ?? ""}</td><td>${line.status ?? "new"}</td>
      <td class=${`s-${line.action}`}>${planned(line.action)}</td><td>${line.runs ? "yes" : "no"}</td><td>${line.why}</td></tr>`)}</tbody></table>`;
}

function Gutter({ count, problems, scroll }) {
  const bad = new Map(problems.filter((one) => one.line).map((one) => [one.line, one]));
  return html`<div class="gutter" ref=${scroll} aria-hidden="true">${Array.from({ length: count }, (_, at) => html`<div class=${bad.has(at + 1) ? bad.get(at + 1).severity.toLowerCase() : ""} title=${bad.get(at + 1)?.message ?? null}>${at + 1}</div>`)}</div>`;
}

function Editor() {
  const { text, base, problems, busy, stored } = draft.value;
  const gutter = useRef(null);
  const area = useRef(null);
  const count = useMemo(() => text.split("\n").length, [text]);
  useEffect(() => {
    if (!editing.value) return;
    editing.value = false;
    area.current.focus();
  }, [editing.value]);
  const jump = (problem) => {
    const lines = text.split("\n");
    const from = lines.slice(0, problem.line - 1).reduce((sum, line) => sum + line.length + 1, 0);
    area.current.focus();
    area.current.setSelectionRange(from, from + lines[problem.line - 1].length);
    area.current.scrollTop = Math.max(0, (problem.line - 4) * 20);
  };
  const keys = (event) => {
    event.stopPropagation();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !idle.value) look();
    if (event.key === "Escape") area.current.blur();
  };
  return html`<div class="editor">
    <div class="edit-area"><${Gutter} count=${count} problems=${problems} scroll=${gutter} />
      <textarea ref=${area} aria-label="Score" spellcheck="false" wrap="off" value=${text} readonly=${readOnly.value}
        onInput=${(event) => set({ text: event.target.value })} onKeyDown=${keys}
        onScroll=${() => (gutter.current.scrollTop = area.current.scrollTop)}></textarea></div>
    ${problems.length > 0 && html`<ul class="problems" role="status">${problems.map((one) => html`<li class=${one.severity.toLowerCase()}>
      <button class="quiet" disabled=${!one.line} onClick=${() => jump(one)}><b>${one.line ? `line ${one.line}` : one.code}</b> ${visible(one.message)}</button>${one.hint && html` <small>${visible(one.hint)}</small>`}</li>`)}</ul>`}
    <div class="row">
      <button class="strong" onClick=${look} disabled=${busy || idle.value !== "" || !job.value?.takes_score} title=${idle.value || "Ctrl+Enter"}>${busy ? "Asking …" : "Plan this change"}</button>
      <button onClick=${() => set({ text: stored, problems: [] })} disabled=${text === stored}>Undo all</button>
      <span class="note">${text === stored ? `revision ${base?.revision} as stored` : "changed here; the file on disk stays as it is"}</span>
      <${Line} text=${`mzt modify ${draft.value.job} -c ${text === stored ? (base?.config_file ?? "FILE") : EDITED} --plan`} />
    </div>
  </div>`;
}

// --- two revisions side by side ---------------------------------------------------------------------------

// The longest common subsequence of lines; beyond a bound the middle is told as replaced.
export function pairLines(left, right) {
  let start = 0;
  while (start < left.length && start < right.length && left[start] === right[start]) start += 1;
  let tail = 0;
  while (tail < left.length - start && tail < right.length - start && left.at(-1 - tail) === right.at(-1 - tail)) tail += 1;
  const a = left.slice(start, left.length - tail);
  const b = right.slice(start, right.length - tail);
  const rows = left.slice(0, start).map((line, at) => ["same", at, at]);
  if (a.length * b.length > 4e6) {
    for (let at = 0; at < Math.max(a.length, b.length); at += 1) rows.push(["both", at < a.length ? start + at : null, at < b.length ? start + at : null]);
  } else {
    const best = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i -= 1) for (let j = b.length - 1; j >= 0; j -= 1) best[i][j] = a[i] === b[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
    let i = 0;
    let j = 0;
    let gone = [];
    let come = [];
    const flush = () => {
      for (let at = 0; at < Math.max(gone.length, come.length); at += 1) rows.push(["both", gone[at] ?? null, come[at] ?? null]);
      gone = [];
      come = [];
    };
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) {
        flush();
        rows.push(["same", start + i, start + j]);
        i += 1;
        j += 1;
      } else if (j >= b.length || (i < a.length && best[i + 1][j] >= best[i][j + 1])) gone.push(start + i++);
      else come.push(start + j++);
    }
    flush();
  }
  for (let at = tail; at > 0; at -= 1) rows.push(["same", left.length - at, right.length - at]);
  return rows;
}

async function compare(left, right) {
  const named = draft.value.job;
  try {
    const [a, b] = await Promise.all([left, right].map((revision) => ask("job.revisions", { job_id: named, revision, limit: 1 })));
    set({ mode: "diff", left, right, texts: [a.text, b.text] });
  } catch (refusal) {
    addNote({ bad: true, text: refusal.message });
  }
}

function Diff() {
  const { left, right, texts, revisions } = draft.value;
  const [a, b] = texts.map((text) => text.replace(/\n$/, "").split("\n"));
  const rows = useMemo(() => pairLines(a, b), [texts]);
  const side = (at, lines, kind) => html`<td class="number">${at === null ? "" : at + 1}</td><td class=${kind === "same" || at === null ? "" : "differs"}><code>${at === null ? "" : visible(lines[at])}</code></td>`;
  const choose = (value, then) => html`<select aria-label="Revision" value=${value} onChange=${(event) => then(Number(event.target.value))}>${revisions.map((one) => html`<option value=${one.revision}>revision ${one.revision}</option>`)}</select>`;
  return html`<div class="diff"><table><colgroup><col class="number" /><col /><col class="number" /><col /></colgroup><thead><tr><th colspan="2">${choose(left, (value) => compare(value, right))}</th><th colspan="2">${choose(right, (value) => compare(left, value))}</th></tr></thead>
    <tbody>${rows.map(([kind, i, j]) => html`<tr class=${kind}>${side(i, a, kind)}${side(j, b, kind)}</tr>`)}</tbody></table></div>`;
}

export function Score() {
  const named = route.value.job;
  const stamp = job.value ? `${job.value.revision}/${job.value.staged_revision}` : "";
  useEffect(() => void read(named), [named, stamp]);
  const { revisions, mode, base } = draft.value;
  if (draft.value.job !== named || !base) return html`<p class="empty">Reading the score …</p>`;
  return html`<section class="score" aria-label="Score">
    <div class="revisions">
      <div class="row" role="group" aria-label="What is shown">
        <button class="small" aria-pressed=${mode === "edit"} onClick=${() => set({ mode: "edit" })}>Edit</button>
        <button class="small" aria-pressed=${mode === "diff"} disabled=${revisions.length < 2} onClick=${() => compare(revisions.at(-2).revision, revisions.at(-1).revision)}>Compare</button>
      </div>
      <ol>${[...revisions].reverse().map((one) => html`<li key=${one.revision} class=${`rev ${hue(one.revision)}`}><i></i>
        <button class="quiet" disabled=${one.revision === 1} title="Compare with the one before" onClick=${() => compare(one.revision - 1, one.revision)}>revision ${one.revision}</button>
        <small>${one.status}, ${moment(one.created_at)}${one.caller ? `, ${visible(who(one.caller))}` : ""}${one.reason ? `: ${visible(one.reason)}` : ""}</small></li>`)}</ol>
    </div>
    ${mode === "diff" && draft.value.texts ? html`<${Diff} />` : html`<${Editor} />`}
  </section>`;
}
