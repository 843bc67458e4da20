// Who asked what, when and why, and what followed: the job's journal, live.
import { html, signal } from "./lib.js";
import { earlier, events, go, readEarlier, route } from "./store.js";
import { moment, visible, who } from "./text.js";

const asked = signal(false);
const SHOWN = 1000;

export function Journal() {
  const find = route.value.find.toLowerCase();
  const all = events.value;
  const kept = all.filter((event) => (!asked.value || event.caller) && (!find || `${event.text} ${event.type} ${event.reason ?? ""} ${who(event.caller)}`.toLowerCase().includes(find)));
  return html`<section class="journal" aria-label="Journal">
    <div class="log-bar">
      <input type="search" class="find" placeholder="Filter the journal  /" aria-label="Filter the journal" value=${route.value.find} onInput=${(event) => go({ find: event.target.value }, { replace: true })} />
      <label><input type="checkbox" checked=${asked.value} onChange=${(event) => (asked.value = event.target.checked)} /> only what somebody asked</label>
      <span class="hits" role="status">${`${kept.length.toLocaleString("en")} ${kept.length === 1 ? "entry" : "entries"}`}</span>
    </div>
    <ol class="entries" reversed>
      ${kept.slice(-SHOWN).reverse().map((event) => html`<li key=${event.event} class=${event.caller ? "asked" : ""}>
        <time datetime=${event.recorded_at}>${moment(event.recorded_at, { seconds: true })}</time>
        <span class="what">${event.sheet ? html`<button class="quiet" onClick=${() => go({ sheet: event.sheet, attempt: event.attempt })}>${visible(event.text || event.type)}</button>` : visible(event.text || event.type)}
          ${event.reason && event.caller && html` <q>${visible(event.reason)}</q>`}</span>
        <span class="who">${visible(who(event.caller))}</span>
      </li>`)}
    </ol>
    ${kept.length > SHOWN && html`<p class="note">the newest ${SHOWN} of them: a filter finds the others</p>`}
    ${earlier.value > 0 && html`<p class="note"><button class="small" onClick=${readEarlier}>Read earlier entries</button> ${earlier.value.toLocaleString("en")} more before these</p>`}
  </section>`;
}
