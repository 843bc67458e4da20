// Requests: buttons that show the mzt line they are, ask before they end something, and tell when it is so.
import { html, signal, useEffect, useRef, useState } from "./lib.js";
import { Glyph } from "./glyphs.js";
import { change } from "./net.js";
import { idle, job, now, addNote } from "./store.js";
import { plural, visible } from "./text.js";

const WORDS = {
  pause: "Pause",
  "pause now": "Pause now",
  resume: "Resume",
  retry: "Try now",
  discard: "Discard staged",
  cancel: "Cancel",
  remove: "Remove",
  "run from here": "Run from here",
  "run it alone": "Run it alone",
  accept: "Accept",
  skip: "Skip",
  "pause before it": "Pause before it",
  "clear the breakpoint": "Clear the breakpoint",
};
const STRONG = new Set(["resume"]);

export const dialogRequest = signal(null); // the request that a dialog asks about
const hoveredLine = signal(""); // the line of the button that is pointed at

export const reason = signal("");

export async function request(offer, extra = {}) {
  const params = { ...offer.params, ...extra };
  if (reason.value.trim() && offer.method !== "job.retry") params.reason = reason.value.trim();
  try {
    const told = await change(offer.method, params);
    reason.value = "";
    addNote({ text: told.message, lines: [offer.line], done: told.acknowledged !== false });
    return told;
  } catch (refusal) {
    addNote({ bad: true, text: refusal.message, code: refusal.code, lines: refusal.hints, problems: refusal.problems });
    return null;
  }
}

// The same request for several jobs, one after the other; what is refused keeps no other back.
async function requestAll(several) {
  const why = reason.value.trim();
  reason.value = "";
  const refused = [];
  for (const offer of several.offers) {
    const params = why ? { ...offer.params, reason: why } : offer.params;
    await change(offer.method, params).catch((refusal) => refused.push(`${offer.params.job_id}: ${refusal.message}`));
  }
  const count = several.offers.length;
  if (refused.length) addNote({ bad: true, text: `${refused.length} of ${count} refused; ${refused.slice(0, 3).join("; ")}`, lines: [several.line] });
  else addNote({ text: `${plural(count, "job")} asked`, lines: [several.line] });
}

// Ask whether a request is to be sent for all of these jobs.
export function confirmForAll(name, offers) {
  const jobs = offers.map((offer) => offer.params.job_id);
  const line = offers.length === 1 ? offers[0].line : `${offers[0].line.slice(0, offers[0].line.indexOf(" ", 4))} ${offers.map((offer) => offer.line.slice(offer.line.indexOf(" ", 4) + 1)).join(" ")}`;
  const asks = `${WORDS[name]} ${plural(jobs.length, "job")}: ${jobs.slice(0, 10).join(", ")}${jobs.length > 10 ? ` and ${jobs.length - 10} more` : ""}?`;
  dialogRequest.value = { offer: { name, line, asks, offers }, act: requestAll };
}

export function requestOrConfirm(offer, then) {
  if (offer.asks) dialogRequest.value = { offer, then };
  else request(offer).then(then);
}

export function copy(text) {
  navigator.clipboard?.writeText(text).then(
    () => addNote({ text: `Copied: ${text}` }),
    () => addNote({ bad: true, text: "The browser does not let this page copy." }),
  );
}

export const Line = ({ text }) =>
  html`<span class="line"><code>${text}</code><button class="quiet" title="Copy" aria-label=${`Copy: ${text}`}
    onClick=${() => copy(text)}><${Glyph} of="copy" /></button></span>`;

export const Offer = ({ offer, act, small }) => html`<button
  class=${`${STRONG.has(offer.name) ? "strong" : ""} ${offer.asks ? "ends" : ""} ${small ? "small" : ""}`}
  disabled=${idle.value !== ""}
  title=${idle.value || offer.line}
  data-offer=${offer.name}
  onMouseEnter=${() => (hoveredLine.value = offer.line)}
  onFocus=${() => (hoveredLine.value = offer.line)}
  onClick=${() => (act ? act(offer) : requestOrConfirm(offer))}
>${WORDS[offer.name] ?? offer.name}</button>`;

export function Offers() {
  const state = job.value;
  const line = hoveredLine.value && state.offers.some((offer) => offer.line === hoveredLine.value) ? hoveredLine.value : state.offers[0]?.line;
  return html`<div class="offers" onMouseLeave=${() => (hoveredLine.value = "")}>
    ${state.offers.map((offer) => html`<${Offer} key=${offer.name} offer=${offer} />`)}
    <input class="reason" placeholder="Reason (optional)" aria-label="Reason for the next request" maxlength="1000"
      value=${reason.value} onInput=${(event) => (reason.value = event.target.value)} disabled=${idle.value !== ""} />
    ${idle.value ? html`<span class="note">${idle.value}</span>` : line && html`<${Line} text=${line} />`}
  </div>`;
}

// What ends or discards something is asked first, with the line that it is.
export function Dialog() {
  const box = useRef(null);
  const wanted = dialogRequest.value;
  useEffect(() => {
    if (wanted) box.current?.showModal();
  }, [wanted]);
  if (!wanted) return null;
  const close = () => {
    if (dialogRequest.peek() === wanted) dialogRequest.value = null;
  };
  return html`<dialog ref=${box} onClose=${close} aria-labelledby="asked">
    <h2 id="asked">${WORDS[wanted.offer.name] ?? wanted.offer.name}</h2>
    <p>${visible(wanted.offer.asks)}</p>
    <${Line} text=${wanted.offer.line} />
    ${wanted.act && html`<input class="reason" placeholder="Reason (optional)" aria-label="Reason" maxlength="1000" value=${reason.value} onInput=${(event) => (reason.value = event.target.value)} />`}
    <div class="row">
      <button onClick=${close}>Leave it</button>
      <button class="ends strong" autofocus onClick=${() => {
        close();
        (wanted.act ?? request)(wanted.offer).then(wanted.then);
      }} disabled=${idle.value !== ""}>${WORDS[wanted.offer.name] ?? wanted.offer.name}</button>
    </div>
  </dialog>`;
}

export function useNow(active) {
  const [, again] = useState(0);
  useEffect(() => {
    if (!active) return undefined;
    const timer = setInterval(() => again((count) => count + 1), 1000);
    return () => clearInterval(timer);
  }, [active]);
  return now.peek();
}
