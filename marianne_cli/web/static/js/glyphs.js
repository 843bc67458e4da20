// A sign for each status: told by its shape as well as by its colour.
import { html } from "./lib.js";

const PATHS = {
  pending: html`<circle cx="8" cy="8" r="5.5" class="line" stroke-dasharray="2.2 2.2" />`,
  queued: html`<circle cx="3" cy="8" r="1.5" class="fill" /><circle cx="8" cy="8" r="1.5" class="fill" />
    <circle cx="13" cy="8" r="1.5" class="fill" />`,
  running: html`<circle cx="8" cy="8" r="6" class="line" /><path d="M6.3 4.9 11.4 8l-5.1 3.1z" class="fill" />`,
  waiting: html`<circle cx="8" cy="8" r="6" class="line" /><path d="M8 4.6V8l2.4 1.7" class="line" />`,
  completed: html`<circle cx="8" cy="8" r="7" class="fill" /><path d="m4.8 8.3 2.2 2.2 4.3-4.6" class="mark" />`,
  failed: html`<path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" class="fill" /><path d="m5.4 5.4 5.2 5.2m0-5.2-5.2 5.2" class="mark" />`,
  skipped: html`<path d="m2.5 4 4 4-4 4M7.5 4l4 4-4 4M13.8 3.6v8.8" class="line" />`,
  cancelled: html`<circle cx="8" cy="8" r="6" class="line" /><path d="m3.9 12.1 8.2-8.2" class="line" />`,
  cancelling: html`<circle cx="8" cy="8" r="6" class="line" stroke-dasharray="3 2" /><path d="m3.9 12.1 8.2-8.2" class="line" />`,
  paused: html`<rect x="3" y="2.5" width="3.6" height="11" rx="1" class="fill" /><rect x="9.4" y="2.5" width="3.6" height="11" rx="1" class="fill" />`,
  pausing: html`<rect x="3.2" y="2.8" width="3.2" height="10.4" rx="1" class="line" /><rect x="9.6" y="2.8" width="3.2" height="10.4" rx="1" class="line" />`,
  copy: html`<rect x="5.5" y="5.5" width="8" height="8" rx="1.5" class="line" /><path d="M10.5 2.5h-8v8" class="line" />`,
  kept: html`<circle cx="8" cy="8" r="2.5" class="fill" />`,
  "kept-changed": html`<path d="M3 6h10M3 10h10M10.5 3l-5 10" class="line" />`,
  changed: html`<path d="M8 2.5 14 13H2z" class="line" />`,
  added: html`<path d="M8 2.5v11M2.5 8h11" class="line" />`,
  removed: html`<path d="M2.5 8h11" class="line" />`,
  rerun: html`<path d="M12.7 5.5A5.5 5.5 0 1 0 13.5 8M13.2 2.2v3.6H9.6" class="line" />`,
  "in-flight": html`<circle cx="8" cy="8" r="6" class="line" /><path d="M6.3 4.9 11.4 8l-5.1 3.1z" class="fill" />`,
};

export const Glyph = ({ of, title }) =>
  html`<svg class="glyph s-${of}" viewBox="0 0 16 16" role=${title ? "img" : null} aria-label=${title || null}
    aria-hidden=${title ? null : "true"}>${PATHS[of] ?? PATHS.pending}</svg>`;
