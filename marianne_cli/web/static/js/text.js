// How times, amounts and names are said.

const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

// What turns or hides text is shown as an escape: the server does so too, but for the text of scores.
export const visible = (text) =>
  text.replace(CONTROL, (char) => {
    const code = char.charCodeAt(0);
    return code <= 0xff ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });

const two = (number) => String(number).padStart(2, "0");

// A moment in local time: the time alone where it is today.
export function moment(iso, { seconds = false } = {}) {
  if (!iso) return "";
  const at = new Date(iso);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}${seconds ? `:${two(at.getSeconds())}` : ""}`;
  if (at.toDateString() === new Date().toDateString()) return time;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

export function duration(seconds) {
  if (seconds > 0 && seconds < 1) return `${Math.round(seconds * 1000)}ms`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${whole % 60 ? `${whole % 60}s` : ""}`;
  const hours = Math.floor(whole / 3600);
  if (hours < 48) return `${hours}h${Math.floor((whole % 3600) / 60) ? `${Math.floor((whole % 3600) / 60)}m` : ""}`;
  return `${Math.floor(hours / 24)}d`;
}

export const between = (from, to) => duration(Math.max(0, (to ? new Date(to) : Date.now()) - new Date(from)) / 1000);
export const age = (iso) => duration(Math.max(0, Math.floor((Date.now() - new Date(iso)) / 1000)) || 0);
export const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

export function cost(told) {
  if (!told || (!told.usd && told.known && !told.input_tokens)) return "";
  return `${told.known ? "" : "at least "}$${told.usd.toFixed(2)}`;
}

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  return count < 1e6 ? `${(count / 1e3).toFixed(1)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

export function next(told) {
  if (!told) return "";
  if (told.due_at) return `${told.text}, at ${moment(told.due_at)}`;
  return told.latest_at ? `${told.text}, by ${moment(told.latest_at)}` : told.text;
}

let me = null;
export const setOwnUid = (uid) => (me = uid);

// Who asked: you, and by what program; another user by number; a sheet; or the daemon itself.
export function who(caller) {
  if (!caller) return "";
  if (caller.inside) return caller.inside;
  if (caller.uid < 0) return caller.name || "the daemon";
  return `${caller.uid === me ? "you" : `user ${caller.uid}`}${caller.name ? `, ${caller.name}` : ""}`;
}

// Numbers as ranges: 1-3, 5.
export function ranges(numbers) {
  const found = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = found.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else found.push([number, number]);
  }
  return found.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
}

export const STATUS = {
  pending: "pending",
  running: "running",
  waiting: "waiting",
  completed: "completed",
  failed: "failed",
  skipped: "skipped",
  cancelled: "cancelled",
};
export const ORDER = ["failed", "running", "waiting", "pending", "cancelled", "skipped", "completed"];
