// Pause a job and wait until it is paused, let it go on, follow its events to its end: Node alone.
const { env } = process
const lock = `${env.XDG_STATE_HOME || env.HOME + "/.local/state"}/marianne/lock`
const path = env.MARIANNE_SOCKET || JSON.parse(require("fs").readFileSync(lock)).socket
const socket = require("net").connect(path)
const lines = require("readline").createInterface({ input: socket })
const job_id = process.argv[2]
const waiting = new Map()
const ask = (method, params) => new Promise(answered => {
  const id = waiting.size + 1
  waiting.set(id, answered)
  socket.write(JSON.stringify({ jsonrpc: "2.0", id, method, params }) + "\n")
})

lines.on("line", line => {
  const { id, error, result, params } = JSON.parse(line)
  if (error) { console.error(error.message); process.exit(1) }
  if (id) return waiting.get(id)(result)
  console.log(params.item.event, params.item.type, params.item.text)
  if (/^job\.(completed|failed|cancelled)$/.test(params.item.type)) socket.destroy()
})

const main = async () => {
  console.log((await ask("job.pause", { job_id, wait: true, timeout: 30 })).message)
  const resumed = await ask("job.resume", { job_id })
  console.log(resumed.message)
  await ask("events.subscribe", { job_id, after: resumed.event })
}
main()
