/**
 * A small web site for tests, written once: behind a real server (`servers.ts`) and in memory (`TestHttpClient`).
 * What a web `Response` cannot say is a `"reset"`.
 */
import { gzipSync } from "node:zlib"

export interface Site {
  readonly handle: (request: Request) => Promise<Response | "reset">
  /** Requests by path, without what follows the `?`. */
  readonly requests: Map<string, number>
  /** Bodies that were left before their end. */
  readonly left: Map<string, number>
}

const count = (counts: Map<string, number>, key: string): number => {
  const next = (counts.get(key) ?? 0) + 1
  counts.set(key, next)
  return next
}

/** A body of `chunks` pieces of `size` bytes; `Infinity` never ends. */
const pieces = (chunks: number, size: number, onLeft: () => void): ReadableStream<Uint8Array> => {
  let sent = 0
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        // In memory nothing else would ever get its turn.
        if (chunks === Infinity) await new Promise((resolve) => setImmediate(resolve))
        if (sent >= chunks) controller.close()
        else controller.enqueue(new Uint8Array(size).fill(sent++ % 251))
      },
      cancel: onLeft
    },
    { highWaterMark: 0 }
  )
}

const measure = async (request: Request): Promise<Response> => {
  let bytes = 0
  let chunks = 0
  for await (const chunk of request.body ?? []) {
    bytes += chunk.length
    chunks++
  }
  const length = request.headers.get("content-length")
  return Response.json({ bytes, isStreamed: chunks > 1, length })
}

const readForm = async (request: Request): Promise<Response> => {
  const fields: Array<ReadonlyArray<unknown>> = []
  for (const [name, value] of await request.formData()) {
    fields.push(typeof value === "string" ? [name, value] : [name, value.name, value.type, await value.text()])
  }
  return Response.json(fields)
}

const echo = async (request: Request, url: URL): Promise<Response> =>
  Response.json({
    method: request.method,
    path: url.pathname + url.search,
    headers: Object.fromEntries(request.headers),
    body: await request.text()
  })

const login = (): Response => {
  const response = new Response(null, { status: 302, headers: { location: "/me" } })
  response.headers.append("set-cookie", "session=abc; Path=/; HttpOnly")
  response.headers.append("set-cookie", "theme=dark; Path=/")
  return response
}

export const makeSite = (options: { readonly canCompress: boolean }): Site => {
  const requests = new Map<string, number>()
  const left = new Map<string, number>()
  const handle = async (request: Request): Promise<Response | "reset"> => {
    const url = new URL(request.url)
    const { pathname, searchParams } = url
    const nth = count(requests, pathname)
    const [, page = ""] = pathname.split("/")
    const onLeft = () => void count(left, pathname)
    switch (page) {
      case "busy-once":
        return nth === 1 ? new Response("busy", { status: 503 }) : new Response("at last")
      case "reset-once":
        await request.arrayBuffer()
        return nth === 1 ? "reset" : new Response("at last")
      case "upload":
        return measure(request)
      case "form":
        return readForm(request)
      case "bytes":
        if (request.method === "HEAD") return new Response()
        return new Response(pieces(Number(searchParams.get("chunks")), 64 * 1024, onLeft))
      case "endless":
        return new Response(pieces(Infinity, 64 * 1024, onLeft))
      case "silent":
        return new Response(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(3)) }))
      case "gzip":
        if (!options.canCompress) return Response.json({ page: "compressed" })
        return new Response(gzipSync(JSON.stringify({ page: "compressed" })), {
          headers: { "content-encoding": "gzip", "content-type": "application/json" }
        })
      case "empty":
        return new Response(null, { status: 204 })
      case "login":
        return login()
      case "me":
        return new Response(request.headers.get("cookie") ?? "nobody")
      case "go":
        return new Response("moved", {
          status: Number(searchParams.get("status") ?? 307),
          headers: { location: searchParams.get("to") ?? "/" }
        })
      default:
        return echo(request, url)
    }
  }
  return { handle, requests, left }
}
