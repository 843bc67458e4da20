// Speaking with the server: the session, requests, and the one stream of this tab.

export class Refusal extends Error {
  constructor(error) {
    super(error.message);
    Object.assign(this, { code: "", hints: [], problems: [] }, error);
  }
}

async function post(path, body) {
  return fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Mzt": "1" },
    body: JSON.stringify(body),
  });
}

// Exchange the token of the address for a session, and take it out of the address: it is used up.
export async function enter() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (!given.has("t")) return true;
  const go = given.get("go") || "";
  history.replaceState(null, "", go ? `/#${go}` : "/");
  return (await post("/session", { token: given.get("t") })).ok;
}

// Ask the daemon; what changes something is sent with a key, so that it takes effect once.
export async function ask(method, params) {
  let answer;
  try {
    answer = await post("/ask", { method, params });
  } catch {
    throw new Refusal({ message: "The dashboard does not answer. Has its terminal been closed?", hints: ["mzt dashboard"] });
  }
  if (answer.status === 403 && !answer.headers.get("content-type")) {
    throw new Refusal({ code: "session", message: "This page's session is over.", hints: ["mzt dashboard --url"] });
  }
  const told = await answer.json().catch(() => ({ error: { message: `The dashboard answered ${answer.status}.` } }));
  if (told.error) throw new Refusal(told.error);
  return told.result;
}

export const change = (method, params) => ask(method, { key: crypto.randomUUID(), ...params });

// All pages of something: `list` names what is paged, `total` where the reply says how many there are.
export async function pages(method, params, list, total) {
  const first = await ask(method, params);
  const found = first[list];
  while (found.length < first[total]) {
    const more = (await ask(method, { ...params, offset: found.length }))[list];
    if (!more.length) break;
    found.push(...more);
  }
  return { ...first, [list]: found };
}

const KINDS = ["hello", "daemon", "jobs", "job", "graph", "sheets", "flight", "events", "log", "bye"];
const AGAIN_MS = 1500;

// One stream for everything. A hidden tab gives its connection back: a browser has six of them for a server.
export class Stream {
  constructor(heard, lost) {
    this.heard = heard;
    this.lost = lost;
    this.name = null;
    document.addEventListener("visibilitychange", () => this.seen());
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", () => this.seen());
    this.seen();
  }

  seen() {
    clearTimeout(this.timer);
    if (document.visibilityState === "visible") {
      if (!this.source) this.open();
    } else {
      this.timer = setTimeout(() => this.close(), 10_000);
    }
  }

  open() {
    const source = (this.source = new EventSource("/stream"));
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        const told = JSON.parse(event.data);
        if (kind === "hello") this.name = told.stream;
        if (kind === "bye") this.lost("ended");
        this.heard(kind, told);
      });
    }
    source.onerror = async () => {
      if (this.source !== source) return;
      this.name = null;
      this.lost(source.readyState === EventSource.CLOSED ? await why() : "away");
      if (source.readyState !== EventSource.CLOSED) return;
      this.close();
      this.timer = setTimeout(() => this.seen(), AGAIN_MS);
    };
  }

  close() {
    this.source?.close();
    this.source = this.name = null;
  }

  async watch(what) {
    if (this.name) await post("/watch", { stream: this.name, ...what }).catch(() => {});
  }
}

async function why() {
  try {
    await ask("daemon.status", {});
    return "many";
  } catch (refusal) {
    return refusal.code === "session" ? "session" : "away";
  }
}
