// What all parts of the page are written with.
import htm from "/static/vendor/htm.mjs";
import { h } from "/static/vendor/preact.mjs";

export { render } from "/static/vendor/preact.mjs";
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "/static/vendor/preact-hooks.mjs";
export { batch, computed, effect, signal, useComputed } from "/static/vendor/preact-signals.mjs";

export const html = htm.bind(h);
