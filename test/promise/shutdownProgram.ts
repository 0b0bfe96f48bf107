/** A program of promises that closes its client on signals: `node shutdownProgram.ts <url>`; without a URL it just ends. */
import { closeOnSignals, createClient } from "holdfast/promise"

const [url] = process.argv.slice(2)
const client = createClient({ llm: { provider: "openai", baseUrl: url ?? "http://127.0.0.1:1/v1", model: "m" } })
closeOnSignals(client, { grace: "1 minute", onClosed: ({ report }) => console.log(JSON.stringify(report)) })
process.on("SIGTERM", () => process.stdout.write("signalled\n"))
if (url !== undefined) {
  const { text } = await client.generateText("?")
  await new Promise((resolve) => setImmediate(resolve))
  console.log(`put away: ${text}`)
  setInterval(() => {}, 60_000)
}
