// One sheet, or hook: its attempts told apart, what it prints, its checks, its prompt, and what can be asked.
import { html, signal, useEffect, useState } from "./lib.js";
import { Glyph } from "./glyphs.js";
import { Line, Offer, requestOrConfirm } from "./acting.js";
import { Log } from "./log.js";
import { ask } from "./net.js";
import { cell, go, graph, job, plan, route, addNote } from "./store.js";
import { between, bytes, moment, plural, visible } from "./text.js";

const detail = signal(null);
const VIEWS = { output: "Output", checks: "Checks", prompt: "Prompt", result: "Result" };

export const hue = (revision) => `r-${((revision - 1) % 6) + 1}`;

function useDetail(named, number) {
  const state = number ? cell(number).value : null;
  const stamp = state ? `${state.status}/${state.attempt_count}/${state.revision}/${job.value?.status}/${job.value?.breakpoints.length}` : "";
  useEffect(() => {
    let left = false;
    if (!number) return undefined;
    ask("job.status", { job_id: named, sheets: String(number) }).then(
      (told) => !left && (detail.value = told.sheets[0] ?? null),
      (refusal) => !left && (detail.value = { sheet: number, refused: refusal.message }),
    );
    return () => (left = true);
  }, [named, number, stamp]);
  return detail.value?.sheet === number ? detail.value : null;
}

async function shownPlan(offer) {
  try {
    const reply = await ask(offer.method, { ...offer.params, plan: true });
    plan.value = { reply, offer, explained: sheetsWithNeeds() };
    go({ tab: "graph" });
  } catch (refusal) {
    addNote({ bad: true, text: refusal.message, code: refusal.code, lines: refusal.hints });
  }
}

// The sheets of the score in force, as a plan wants to know them: with what they need.
export function sheetsWithNeeds() {
  const stages = new Map(graph.value?.stages.map((stage) => [stage.stage, stage]) ?? []);
  return [...stages.values()].flatMap((stage) =>
    stage.sheets.map((sheet) => ({ ...sheet, needs: stage.needs.map((need) => stages.get(need)?.sheets[0].sheet) })),
  );
}

function Attempts({ attempts, chosen }) {
  return html`<div class="attempts" role="group" aria-label="Attempts">
    ${attempts.map((one) => html`<button key=${one.attempt} class=${`small attempt ${hue(one.revision)}`} aria-pressed=${one.attempt === chosen}
      title=${`Attempt ${one.attempt}, revision ${one.revision}, ${one.instrument}`}
      onClick=${() => go({ attempt: one.attempt })}>
      <${Glyph} of=${one.outcome === null ? "running" : one.outcome === "succeeded" ? "completed" : one.outcome === "rate_limited" || one.outcome === "interrupted" ? "waiting" : "failed"} />
      ${one.attempt}</button>`)}
  </div>`;
}

function Facts({ attempt }) {
  if (!attempt) return null;
  const rows = [
    ["started", `${moment(attempt.started_at, { seconds: true })}${attempt.ended_at ? `, took ${between(attempt.started_at, attempt.ended_at)}` : ""}`],
    ["revision", attempt.revision],
    ["instrument", [attempt.instrument, attempt.model].filter(Boolean).join(", ")],
    ["ended", attempt.outcome && [attempt.outcome.replace("_", " "), attempt.exit_code !== null && `exit code ${attempt.exit_code}`, attempt.signal].filter(Boolean).join(", ")],
    ["cost", attempt.cost_usd > 0 && `$${attempt.cost_usd.toFixed(4)}`],
    ["tokens", attempt.input_tokens !== null && `${attempt.input_tokens.toLocaleString("en")} in, ${attempt.output_tokens?.toLocaleString("en")} out`],
    ["printed", attempt.ended_at && `${bytes(attempt.stdout_bytes)}, ${bytes(attempt.stderr_bytes)} on stderr`],
  ].filter(([, value]) => value);
  return html`<dl class="facts">${rows.map(([key, value]) => html`<div><dt>${key}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function Checks({ attempt }) {
  if (!attempt?.validations.length) return html`<p class="empty">No checks were run in this attempt.</p>`;
  return html`<ul class="checks">${attempt.validations.map((check) => html`<li key=${check.index}>
    <${Glyph} of=${check.result === "passed" ? "completed" : check.result === "not_run" ? "pending" : "failed"} title=${check.result} />
    <div><b>${check.description || check.type}</b> <code>${check.target}</code>
      ${check.reason && html`<p>${check.reason}</p>`}
      ${check.output && html`<pre>${visible(check.output)}</pre>`}</div></li>`)}</ul>`;
}

function decodeText(told) {
  const data = Uint8Array.from(atob(told.data), (char) => char.charCodeAt(0));
  const left = told.size - data.length;
  return `${new TextDecoder().decode(data)}${left > 0 ? `\n… ${bytes(left)} more: mzt logs --prompt, or --result, shows all` : ""}`;
}

function Stored({ of, view }) {
  const [text, set] = useState(null);
  useEffect(() => {
    let left = false;
    set(null);
    ask("log.read", { ...of, stream: view }).then(
      (told) => !left && set(decodeText(told)),
      (refusal) => !left && set(refusal.message),
    );
    return () => (left = true);
  }, [JSON.stringify(of), view]);
  if (text === null) return html`<p class="empty">Reading …</p>`;
  return html`<pre class="stored" tabindex="0">${visible(text) || "It is empty."}</pre>`;
}

function Views({ attempt, of }) {
  const view = route.value.view;
  return html`<nav class="views" aria-label="Of this attempt">
      ${Object.entries(VIEWS).map(([key, word]) => (key !== "checks" || of.sheet) && html`<button class="tab" aria-pressed=${view === key} onClick=${() => go({ view: key }, { replace: true })}>${word}</button>`)}
    </nav>
    ${view === "output" && html`<${Log} />`}
    ${view === "checks" && html`<${Checks} attempt=${attempt} />`}
    ${(view === "prompt" || view === "result") && html`<${Stored} of=${of} view=${view} />`}`;
}

export function Panel() {
  const { job: named, sheet, hook, attempt } = route.value;
  const known = useDetail(named, sheet);
  const close = html`<button class="quiet close" aria-label="Close" title="Close (Esc)" onClick=${() => go({ sheet: null, hook: null, attempt: null, find: "", filter: "" })}>×</button>`;
  if (hook) {
    const found = job.value?.hooks?.find((one) => one.hook === hook);
    if (!found) return null;
    return html`<aside class="panel" aria-label=${`Hook ${hook}`}>
      <header><h2><${Glyph} of=${found.status} title=${found.status} /> Hook ${hook} <span>${found.label}</span></h2>${close}</header>
      ${found.error_message && html`<p class="error">${found.error_message}</p>`}
      ${found.attempt_count ? html`<${Views} attempt=${null} of=${{ job_id: named, hook, attempt: attempt ?? found.attempt_count }} />` : html`<p class="empty">It has not started.</p>`}
    </aside>`;
  }
  if (!sheet) return null;
  if (known?.refused) return html`<aside class="panel" aria-label=${`Sheet ${sheet}`}><header><h2>Sheet ${sheet}</h2>${close}</header><p class="error">${visible(known.refused)}</p></aside>`;
  const state = cell(sheet).value;
  const chosen = attempt ?? state?.attempt_count;
  const shown = known?.attempts.find((one) => one.attempt === chosen);
  return html`<aside class="panel" aria-label=${`Sheet ${sheet}`}>
    <header><h2><${Glyph} of=${state?.status ?? "pending"} title=${state?.status} /> Sheet ${sheet}
      <span>${known ? `${known.stage}.${known.instance} ${visible(known.label ?? "")}` : ""}</span></h2>${close}</header>
    ${known?.error_message && html`<p class="error">${known.error_message}</p>`}
    ${known?.skip_reason && html`<p class="note">Skipped: ${known.skip_reason}</p>`}
    ${known && (known.blocked_by.length > 0 || known.kept_back_by) && html`<p class="note">${known.blocked_by.length ? `Blocked by sheet ${known.blocked_by.slice(0, 20).join(", ")}` : `Waits for ${known.kept_back_by}`}</p>`}
    ${known && known.offers.length > 0 && html`<div class="offers small-offers">${known.offers.map((offer) => html`<${Offer} key=${offer.name} offer=${offer} small act=${offer.planned ? shownPlan : requestOrConfirm} />`)}</div>`}
    ${known?.attempts.length
      ? html`<div class="attempt-row"><${Attempts} attempts=${known.attempts} chosen=${chosen} /><${Line} text=${`mzt logs ${named} ${sheet}${attempt ? ` --attempt ${attempt}` : ""}`} /></div>
          <${Facts} attempt=${shown} />
          <${Views} attempt=${shown} of=${{ job_id: named, sheet, attempt: chosen }} />`
      : html`<p class="empty">${known ? `It has not started${known.needs.length ? `; it needs ${plural(known.needs.length, "sheet")} before it` : ""}.` : "Reading …"}</p>`}
  </aside>`;
}
