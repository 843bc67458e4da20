// Live output: opens at its end and follows; scrolled up it stands still. Search and filter count honestly.
import { html, signal, useEffect, useLayoutEffect, useMemo, useRef } from "./lib.js";
import { ask } from "./net.js";
import { go, log, route, addNote } from "./store.js";
import { bytes, plural, visible } from "./text.js";

const following = signal(true);
const at = signal(0);

function Text({ text, find }) {
  if (!find) return text || "\u200b";
  const parts = [];
  const low = text.toLowerCase();
  let from = 0;
  for (let found = low.indexOf(find); found >= 0; found = low.indexOf(find, from)) {
    if (found > from) parts.push(text.slice(from, found));
    parts.push(html`<mark>${text.slice(found, found + find.length)}</mark>`);
    from = found + find.length;
  }
  return [...parts, text.slice(from) || (parts.length ? "" : "\u200b")];
}

function Chunk({ chunk, find, only }) {
  return useMemo(
    () => html`${chunk.lines.map(([kind, text], place) => {
      const hit = find && text.toLowerCase().includes(find);
      if (only && find && !hit) return null;
      return html`<div class=${`k-${kind} ${hit ? "hit" : ""}`} key=${chunk.first + place}>${kind === "stderr" && html`<span class="err" aria-label="stderr"></span>`}<${Text} text=${text} find=${hit ? find : ""} /></div>`;
    })}`,
    [chunk, find, only],
  );
}

const found = signal(null);

// The whole output is searched where it lies: only its last lines are here.
async function searchAll(of, text) {
  const asked = { job_id: of.job_id, sheet: of.sheet, hook: of.hook, attempt: of.attempt, text, ignore_case: true, limit: 200 };
  try {
    const told = await ask("log.search", asked);
    found.value = { of, text, matches: told.matches, more: told.more };
  } catch (refusal) {
    addNote({ bad: true, text: refusal.message });
  }
}

function Found({ of, find }) {
  const told = found.value;
  if (!told || told.of !== of || told.text.toLowerCase() !== find) return null;
  return html`<section class="found" aria-label="Found in the whole output"><p class="note" role="status">${told.more ? "the first " : ""}${plural(told.matches.length, "line")} of the whole stdout</p>
    <ol>${told.matches.map((one) => html`<li key=${one.offset}><span>${one.line}</span> <code><${Text} text=${visible(one.text)} find=${find} /></code></li>`)}</ol></section>`;
}

export function Log() {
  const told = log.value;
  const box = useRef(null);
  const find = route.value.find.toLowerCase();
  const only = route.value.filter === "log";
  const all = told.of && !told.of.sheet && !told.of.hook;
  const partial = !all && (told.dropped > 0 || (told.head && !told.head.whole));
  const hits = useMemo(() => {
    if (!find) return 0;
    return told.chunks.reduce((sum, chunk) => sum + chunk.lines.filter(([, text]) => text.toLowerCase().includes(find)).length, 0);
  }, [told, find]);
  useLayoutEffect(() => {
    if (following.value && box.current) box.current.scrollTop = box.current.scrollHeight;
  });
  useEffect(() => {
    following.value = true;
  }, [told.of?.sheet, told.of?.hook, told.of?.attempt]);
  const scrolled = () => {
    const node = box.current;
    following.value = node.scrollHeight - node.scrollTop - node.clientHeight < 24;
  };
  const step = (by) => {
    const found = [...box.current.querySelectorAll(".hit")];
    if (!found.length) return;
    following.value = false;
    at.value = (at.value + by + found.length) % found.length;
    for (const node of found) node.classList.toggle("here", node === found[at.value]);
    found[at.value].scrollIntoView({ block: "center" });
  };
  const end = () => {
    following.value = true;
    box.current.scrollTop = box.current.scrollHeight;
  };
  const keys = (event) => {
    if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") go({ find: "", filter: "" }, { replace: true });
  };
  if (told.problem) return html`<p class="empty bad">${told.problem.message}</p>`;
  if (!told.head) return html`<p class="empty">Reading its output …</p>`;
  return html`<div class="log">
    <div class="log-bar" role="search">
      <input type="search" class="find" placeholder="Search this output  /" aria-label="Search this output" value=${route.value.find}
        onInput=${(event) => go({ find: event.target.value }, { replace: true })} onKeyDown=${keys} />
      ${find && html`<span class="hits" role="status">${plural(hits, "line")}</span>
        <button class="small" onClick=${() => step(-1)} aria-label="Previous">↑</button>
        <button class="small" onClick=${() => step(1)} aria-label="Next">↓</button>
        <label><input type="checkbox" checked=${only} onChange=${(event) => go({ filter: event.target.checked ? "log" : "" }, { replace: true })} /> only these</label>`}
      ${find && partial && html`<button class="small" onClick=${() => searchAll(told.of, route.value.find)}>Search all of it</button>`}
      <span class="stretch"></span>
      <button class=${`small ${following.value ? "on" : ""}`} aria-pressed=${following.value} onClick=${end} title="Jump to the end and follow (G)" data-key="G">
        ${told.ended ? "End" : following.value ? "Following" : "Follow"}</button>
    </div>
    ${partial && html`<p class="before">${told.dropped ? `${plural(told.dropped, "line")} before these are not kept here` : `the last lines of ${bytes(told.head.size)}`}</p>`}
    <${Found} of=${told.of} find=${find} />
    <div class="lines" ref=${box} tabindex="0" role="log" aria-live="off" aria-label="Output" onScroll=${scrolled}>
      ${told.count === 0 && html`<p class="empty">${told.ended ? all ? "Nothing runs. A sheet of the graph shows what it printed." : "It printed nothing." : "Nothing printed yet."}</p>`}
      ${told.chunks.map((chunk) => html`<${Chunk} key=${chunk.first} chunk=${chunk} find=${find} only=${only} />`)}
    </div>
  </div>`;
}
