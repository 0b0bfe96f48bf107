/** Real servers for tests: HTTP/1.1 and HTTP/2 over TLS, with or without a client's certificate, and a CONNECT proxy. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import * as http from "node:http"
import * as http2 from "node:http2"
import { type AddressInfo, connect, type Server, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import type { Site } from "./site.ts"

export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** A self-signed certificate for 127.0.0.1 and localhost, made by openssl. */
export const makeCertificate = (): Certificate => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-cert-"))
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")]
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
  execFileSync("openssl", ["req", "-x509", ...kind, ...subject, "-keyout", key, "-out", cert], { stdio: "ignore" })
  const made = { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") }
  rmSync(folder, { recursive: true })
  return made
}

export interface Running {
  readonly url: string
  /** What was seen, for assertions. */
  readonly seen: { connections: number; readonly versions: Set<string>; readonly peers: Set<string> }
}

type Incoming = http.IncomingMessage | http2.Http2ServerRequest
type Outgoing = http.ServerResponse | http2.Http2ServerResponse

const toRequest = (incoming: Incoming, origin: string): Request => {
  const headers = new Headers()
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (!name.startsWith(":") && value !== undefined) headers.set(name, String(value))
  }
  const { method = "GET" } = incoming
  const hasBody = method !== "GET" && method !== "HEAD"
  // Without a reader, Node's HTTP/2 does not tell that the client has gone.
  if (!hasBody) incoming.resume()
  const body = hasBody ? new ReadableStream(bodyOf(incoming), { highWaterMark: 0 }) : undefined
  return new Request(new URL(incoming.url ?? "/", origin), { method, headers, body, duplex: "half" } as RequestInit)
}

const bodyOf = (incoming: Incoming): UnderlyingDefaultSource<Uint8Array> => {
  const chunks = incoming[Symbol.asyncIterator]()
  return {
    pull: async (controller) => {
      const next = await chunks.next()
      if (next.done === true) controller.close()
      else controller.enqueue(next.value)
    }
  }
}

const answer = async (site: Site, incoming: Incoming, outgoing: Outgoing, origin: string): Promise<void> => {
  const response = await site.handle(toRequest(incoming, origin))
  if (response === "reset") {
    if ("stream" in incoming) incoming.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
    else incoming.socket.destroy()
    return
  }
  const headers: Record<string, string | Array<string>> = Object.fromEntries(response.headers)
  const cookies = response.headers.getSetCookie()
  if (cookies.length > 0) headers["set-cookie"] = cookies
  if ("stream" in outgoing) outgoing.writeHead(response.status, headers)
  else outgoing.writeHead(response.status, headers)
  const reader = response.body?.getReader()
  outgoing.once("close", () => void reader?.cancel().catch(() => undefined))
  // The head goes out even when the body is silent.
  if (reader !== undefined && "flushHeaders" in outgoing) outgoing.flushHeaders()
  for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) {
    if (!writeTo(outgoing, next.value)) await drained(outgoing)
    if (outgoing.writableEnded || outgoing.destroyed) return
  }
  outgoing.end()
}

const writeTo = (outgoing: Outgoing, chunk: Uint8Array): boolean =>
  "stream" in outgoing ? outgoing.write(chunk) : outgoing.write(chunk)

/** Until more may be written, or nobody is there any more. */
const drained = (outgoing: Outgoing): Promise<void> =>
  new Promise((resolve) => {
    const settle = (): void => {
      outgoing.removeListener("drain", settle)
      outgoing.removeListener("close", settle)
      resolve()
    }
    outgoing.on("drain", settle)
    outgoing.on("close", settle)
  })

const listening = (server: Server) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly sockets: Set<Socket> }>((resume) => {
      const sockets = new Set<Socket>()
      server.on("connection", (socket: Socket) => {
        sockets.add(socket)
        socket.on("error", () => undefined)
        socket.once("close", () => sockets.delete(socket))
      })
      server.listen(0, "127.0.0.1", () =>
        resume(Effect.succeed({ port: (server.address() as AddressInfo).port, sockets }))
      )
    }),
    ({ sockets }) =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
        server.close()
      })
  )

export interface ServeOptions {
  readonly certificate?: Certificate
  /** The certificate that clients must show. */
  readonly clientCertificate?: string
  readonly host?: "127.0.0.1" | "localhost"
}

/** The site on a real port: over TLS both HTTP/2 and HTTP/1.1, else HTTP/1.1. */
export const serve = (site: Site, { certificate, clientCertificate, host = "127.0.0.1" }: ServeOptions = {}) =>
  Effect.gen(function* () {
    const seen: Running["seen"] = { connections: 0, versions: new Set(), peers: new Set() }
    let url = ""
    const onRequest = (incoming: Incoming, outgoing: Outgoing) => {
      seen.versions.add(incoming.httpVersion)
      const { socket } = incoming
      if ("getPeerCertificate" in socket && typeof socket.getPeerCertificate === "function") {
        seen.peers.add(String(socket.getPeerCertificate().subject?.CN))
      }
      answer(site, incoming, outgoing, url).catch(() => outgoing.destroy())
    }
    const server =
      certificate === undefined
        ? http.createServer(onRequest)
        : http2.createSecureServer(
            {
              ...certificate,
              allowHTTP1: true,
              ...(clientCertificate && { requestCert: true, rejectUnauthorized: true, ca: clientCertificate })
            },
            onRequest
          )
    server.on("connection", () => seen.connections++)
    const { port } = yield* listening(server)
    url = `${certificate === undefined ? "http" : "https"}://${host}:${port}`
    return { url, seen } satisfies Running
  })

/** A proxy that tunnels by CONNECT and forwards what is not TLS, for who knows the password. */
export const serveProxy = (password?: string) =>
  Effect.gen(function* () {
    const seen = { tunnels: [] as Array<string>, forwarded: [] as Array<string> }
    const isWelcome = ({ headers }: http.IncomingMessage) =>
      password === undefined || headers["proxy-authorization"] === `Basic ${Buffer.from(password).toString("base64")}`
    const server = http.createServer((incoming, outgoing) => {
      if (!isWelcome(incoming)) return void outgoing.writeHead(407).end()
      seen.forwarded.push(incoming.url ?? "")
      const { headers, method, url = "" } = incoming
      const forward = http.request(url, { method, headers }, (response) => {
        outgoing.writeHead(response.statusCode ?? 502, response.headers)
        response.pipe(outgoing)
      })
      incoming.pipe(forward)
    })
    const tunnels = new Set<Socket>()
    server.on("connect", (incoming: http.IncomingMessage, socket: Socket) => {
      if (!isWelcome(incoming)) return void socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
      const [host = "", port = ""] = (incoming.url ?? "").split(":")
      seen.tunnels.push(incoming.url ?? "")
      const target = connect(Number(port), host, () => {
        socket.write("HTTP/1.1 200 Connection Established\r\n\r\n")
        target.pipe(socket)
        socket.pipe(target)
      })
      for (const end of [target, socket]) {
        tunnels.add(end)
        end.on("error", () => undefined)
        end.once("close", () => void [target.destroy(), socket.destroy()])
      }
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => tunnels.forEach((socket) => socket.destroy())))
    const { port } = yield* listening(server)
    return { url: `http://127.0.0.1:${port}`, seen }
  })
