// All runs of a job, the newest first: each is opened as the newest one is.
import { html, signal, useEffect } from "./lib.js";
import { Glyph } from "./glyphs.js";
import { pages } from "./net.js";
import { href, job, route } from "./store.js";
import { between, moment, visible } from "./text.js";

const SHOWN = 500;
const known = signal({ of: null });

export function Runs() {
  const { job: named } = route.value;
  const name = job.value.job_name;
  const stamp = `${job.value.run}/${job.value.status}`;
  useEffect(() => {
    let left = false;
    pages("job.list", { runs: true, brief: true, prefix: name, newest_first: true }, "brief", "total").then(
      (told) => !left && (known.value = { of: named, runs: told.brief.filter((one) => one.job_name === name).sort((a, b) => b.run - a.run) }),
      (wrong) => !left && (known.value = { of: named, wrong }),
    );
    return () => (left = true);
  }, [named, stamp]);
  const { of, runs, wrong } = known.value;
  if (of !== named) return html`<p class="empty">Asking …</p>`;
  if (wrong) return html`<p class="empty bad">${visible(wrong.message)}</p>`;
  return html`<section class="runs" aria-label="Runs"><table><thead><tr><th>Run</th><th>Status</th><th>Accepted</th><th>Took</th><th>Revision</th></tr></thead>
    <tbody>${runs.slice(0, SHOWN).map((one) => html`<tr key=${one.run} data-run=${one.run} aria-current=${one.run === job.value.run ? "true" : null}>
      <td><a class="link" href=${href({ job: one.job_id, tab: "graph", sheet: null, hook: null, attempt: null, find: "", filter: "" })}>run ${one.run}</a></td>
      <td class=${`s-${one.status}`}><${Glyph} of=${one.status} /> ${one.status}</td><td>${moment(one.created_at)}</td>
      <td>${one.started_at && one.ended_at ? between(one.started_at, one.ended_at) : ""}</td><td>${one.revision}</td></tr>`)}</tbody></table>
    ${runs.length > SHOWN && html`<p class="note">the newest ${SHOWN} of ${runs.length}: mzt list -a shows all</p>`}</section>`;
}
