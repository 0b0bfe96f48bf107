/** Abort a call to a model: the promise rejects at once with the signal's reason, and the connection closes. */
import { once } from "node:events"
import { createServer } from "node:http"
import { createClient } from "holdfast/promise"

// A server on loopback that takes the request and never answers.
const server = createServer().listen(0, "127.0.0.1")
await once(server, "listening")
const address = server.address()
const port = typeof address === "object" ? address?.port : address

{
  await using client = createClient({
    llm: { provider: "openai", baseUrl: `http://127.0.0.1:${port}/v1`, model: "some-model" }
  })
  const controller = new AbortController()
  const answer = client.generateText("Tell me everything", { signal: controller.signal })

  const [request] = await once(server, "request")
  controller.abort(new Error("the user went away"))

  await answer.catch((error: Error) => console.log(`rejected: ${error.message}`))
  await once(request.socket, "close")
  console.log("the server saw the connection close")
}
server.close()
// Output:
// rejected: the user went away
// the server saw the connection close
