/** A web server that is closed with its client. */
import type { CloseReport } from "../Client.ts"

/** What of Node's `http.Server` and `https.Server` is used. */
export interface Serving {
  readonly close: () => unknown
  readonly closeAllConnections: () => void
  readonly on: (event: "request", listener: OnRequest) => unknown
  readonly off: (event: "request", listener: OnRequest) => unknown
}

type OnRequest = (request: unknown, response: Answering) => void

interface Answering {
  readonly once: (event: "close", listener: () => void) => unknown
}

export type Closes = { readonly close: (options: { readonly grace: number }) => Promise<CloseReport> }

/** Closes both: no new connections, calls under way finish, their answers are sent, then what is connected is hung up. */
export const serving = (client: Closes, server: Serving): Closes & Disposable => {
  const answers = new Set<Answering>()
  let onEmpty = (): void => {}
  const onRequest: OnRequest = (_, response) => {
    answers.add(response)
    response.once("close", () => {
      answers.delete(response)
      if (answers.size === 0) onEmpty()
    })
  }
  server.on("request", onRequest)
  return {
    [Symbol.dispose]: () => void server.off("request", onRequest),
    close: async (options) => {
      server.close()
      const report = await client.close(options)
      if (answers.size > 0) await new Promise<void>((resolve) => (onEmpty = resolve))
      // Those that are left are idle, or were opened in advance: they would hold the server for seconds.
      server.closeAllConnections()
      return report
    }
  }
}
