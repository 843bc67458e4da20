// Who asked what, when and why, and what followed: the job's journal, live.
import { html, signal } from "./lib.js";
import { events, go, route } from "./store.js";
import { moment, plural, visible, who } from "./text.js";

const asked = signal(false);
const SHOWN = 400;

export function Journal() {
  const find = route.value.find.toLowerCase();
  const all = events.value;
  const kept = all.filter((event) => (!asked.value || event.caller) && (!find || `${event.text} ${event.type} ${event.reason ?? ""} ${who(event.caller)}`.toLowerCase().includes(find)));
  return html`<section class="journal" aria-label="Journal">
    <div class="log-bar">
      <input type="search" class="find" placeholder="Filter the journal  /" aria-label="Filter the journal" value=${route.value.find} onInput=${(event) => go({ find: event.target.value }, { replace: true })} />
      <label><input type="checkbox" checked=${asked.value} onChange=${(event) => (asked.value = event.target.checked)} /> only what somebody asked</label>
      <span class="hits" role="status">${plural(kept.length, "entry").replace("entrys", "entries")}</span>
    </div>
    <ol class="entries" reversed>
      ${kept.slice(-SHOWN).reverse().map((event) => html`<li key=${event.event} class=${event.caller ? "asked" : ""}>
        <time datetime=${event.recorded_at}>${moment(event.recorded_at, { seconds: true })}</time>
        <span class="what">${event.sheet ? html`<button class="quiet" onClick=${() => go({ sheet: event.sheet, attempt: event.attempt })}>${visible(event.text || event.type)}</button>` : visible(event.text || event.type)}
          ${event.reason && event.caller && html` <q>${visible(event.reason)}</q>`}</span>
        <span class="who">${visible(who(event.caller))}</span>
      </li>`)}
    </ol>
  </section>`;
}
