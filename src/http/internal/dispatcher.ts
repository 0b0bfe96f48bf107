/**
 * undici's agent with what `UndiciHttpClient` promises: TLS with a certificate of one's own, a proxy, and a bound on the
 * connections that are kept without being used.
 *
 * undici has no such bound (8.12), so whoever is over it is found by looking: while there are more connections than may
 * be kept, a second's timer closes those that have carried nothing since the last look. No request pays for it.
 */
import { Socket } from "node:net"
import type { ConnectionOptions } from "node:tls"
import type * as Undici from "undici"
import * as Timer from "../../policy/Timer.ts"

/** Resolved options: milliseconds, plain strings. */
export interface Settings {
  readonly connections: number
  readonly keepAliveConnections: number
  readonly keepAliveMillis: number
  readonly connectMillis: number
  readonly http2: boolean
  readonly tls: Pick<ConnectionOptions, "ca" | "cert" | "key" | "passphrase" | "servername">
  readonly proxy: { readonly url: string; readonly authorization: string | undefined } | undefined
}

const sweepMillis = 1_000

interface Kept {
  readonly client: Undici.Client
  /** Of its client among all of them, in the order in which they were made. */
  readonly place: number
  /** Bytes both ways at the last look. */
  bytes: number
}

/** The connections of one agent, whatever their origin. */
class Connections {
  private readonly open = new Map<Socket, Kept>()
  /** undici forgets a connection that does not stand yet: closed with the client, it would be there until its timeout. */
  readonly connecting = new Set<Socket>()
  private readonly limit: number
  private cancel: (() => void) | undefined

  constructor(limit: number) {
    this.limit = limit
  }

  add(socket: Socket, client: Undici.Client, place: number): void {
    this.open.set(socket, { client, place, bytes: -1 })
    socket.once("close", () => this.open.delete(socket))
    this.watch()
  }

  private watch(): void {
    if (this.cancel !== undefined || this.open.size <= this.limit) return
    // Sockets live in the machine's time, whatever clock a call has.
    this.cancel = Timer.after(Timer.defaultClock, sweepMillis, () => {
      this.cancel = undefined
      this.sweep()
      this.watch()
    })
  }

  private sweep(): void {
    let excess = this.open.size - this.limit
    // undici sends by the first of a pool's clients that is free: its connection is the last to go.
    for (const [socket, kept] of Array.from(this.open).toSorted(([, a], [, b]) => b.place - a.place)) {
      const bytes = socket.bytesRead + socket.bytesWritten
      const isUnused = kept.client.stats.size === 0 && kept.bytes === bytes
      kept.bytes = bytes
      if (excess <= 0 || !isUnused) continue
      excess--
      socket.destroy()
    }
  }

  stop(): void {
    this.cancel?.()
    this.cancel = undefined
    for (const socket of this.connecting) socket.destroy(new Error("the client was closed"))
  }
}

const isConnector = (u: unknown): u is Undici.buildConnector.connector => typeof u === "function"

interface Connecting {
  readonly connect: Undici.buildConnector.connector
}

/** Makes the agent; `destroy` closes what it has open. */
export const makeDispatcher = (
  undici: typeof Undici,
  settings: Settings
): { readonly dispatcher: Undici.Dispatcher; readonly destroy: () => Promise<void> } => {
  const { http2: allowH2, connections, proxy } = settings
  // undici's word for "as many as there are calls".
  const bound = connections === Infinity ? null : connections
  const kept = new Connections(settings.keepAliveConnections)
  const tls = { ...settings.tls, allowH2, timeout: settings.connectMillis }
  const options = { allowH2, keepAliveTimeout: settings.keepAliveMillis }
  const connector = undici.buildConnector(tls)
  const connectorOfHttp1 = undici.buildConnector({ ...tls, allowH2: false })
  /** A proxy hands its own way to connect down here, and a request may ask for HTTP/1.1. */
  const ownOptions = (opts: object): Pick<Undici.Client.Options, "allowH2" | "keepAliveTimeout"> & Connecting => {
    const isHttp1 = "allowH2" in opts && opts.allowH2 === false
    const given = "connect" in opts && isConnector(opts.connect) ? opts.connect : connector
    const connect = isHttp1 && given === connector ? connectorOfHttp1 : given
    return { ...options, allowH2: allowH2 && !isHttp1, connect }
  }
  let clients = 0
  const client = (origin: string | URL, opts: object): Undici.Client => {
    const { connect, ...own } = ownOptions(opts)
    const place = clients++
    const made: Undici.Client = new undici.Client(origin, {
      ...own,
      connect: (target, callback) => {
        // Its type says nothing of it, but undici's own connector returns its socket.
        const begun: unknown = connect(target, (...result) => {
          if (begun instanceof Socket) kept.connecting.delete(begun)
          const [, socket] = result
          if (socket !== null && socket !== undefined) {
            tellReuse(socket)
            kept.add(socket, made, place)
          }
          callback(...result)
        })
        if (begun instanceof Socket) kept.connecting.add(begun)
      }
    })
    return made
  }
  const factory = (origin: string | URL, opts: object): Undici.Client | Undici.Pool =>
    connections === 1
      ? client(origin, opts)
      : new undici.Pool(origin, { ...ownOptions(opts), connections: bound, factory: client })
  const dispatcher =
    proxy === undefined
      ? new undici.Agent({ ...options, factory, connect: connector })
      : new undici.ProxyAgent({
          ...options,
          uri: proxy.url,
          ...(proxy.authorization === undefined ? undefined : { token: proxy.authorization }),
          connectTimeout: settings.connectMillis,
          requestTls: tls,
          proxyTls: { timeout: settings.connectMillis, ...(tls.ca === undefined ? undefined : { ca: tls.ca }) },
          factory
        })
  const destroy = async (): Promise<void> => {
    kept.stop()
    await dispatcher.destroy()
  }
  return { dispatcher, destroy }
}

/** A reset does not say whether the connection had carried an answer; undici's own errors do. */
const tellReuse = (socket: Socket): void => {
  socket.prependListener("error", (error) => {
    if (!("socket" in error)) Object.assign(error, { socket: { bytesRead: socket.bytesRead } })
  })
}
