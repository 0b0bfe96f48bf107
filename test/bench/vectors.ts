/** What contenders store and look for: 10 000 vectors of 128 numbers, the same in each process. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Session } from "./Contender.ts"

export const dimensions = 128
export const stored = 10_000
export const batch = 500

export interface Item {
  readonly id: string
  readonly vector: Array<number>
}

const randomOf = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const random = randomOf(7)

const vector = (): Array<number> => Array.from({ length: dimensions }, () => Math.fround(random() - 0.5))

export const items: ReadonlyArray<Item> = Array.from({ length: stored }, (_, at) => ({
  id: `item ${at}`,
  vector: vector()
}))

const queries: ReadonlyArray<Array<number>> = Array.from({ length: 100 }, vector)

/** The next batch to store; after the last comes the first again. */
const batches = (): (() => ReadonlyArray<Item>) => {
  let next = 0
  return () => {
    const from = next
    next = (next + batch) % stored
    return items.slice(from, from + batch)
  }
}

const session = (close: () => Promise<void>, units: number, call: () => Promise<unknown>): Session => ({
  close,
  run: async (count) => {
    for (let done = 0; done < count; done++) await call()
    return { units: count * units, firstMillis: [] }
  }
})

/** One way to keep vectors. */
export interface Keeper {
  readonly upsert: (items: ReadonlyArray<Item>) => Promise<unknown>
  readonly search: (vector: Array<number>) => Promise<unknown>
  readonly close: () => Promise<void>
  /** Ten queries at once, where there is a way. */
  readonly searchTen?: (vectors: ReadonlyArray<Array<number>>) => Promise<unknown>
}

const filled = async (keeper: Keeper, count = stored): Promise<Keeper> => {
  const next = batches()
  for (let at = 0; at < count; at += batch) await keeper.upsert(next())
  return keeper
}

/** The sessions of a keeper: of vectors that are stored in batches, of queries, and of ten queries at once. */
export const kept = (open: (url: string) => Promise<Keeper>) => {
  const nextQuery = (): (() => Array<number>) => {
    let next = 0
    return () => queries[next++ % queries.length] ?? []
  }
  return {
    insert: async (url: string): Promise<Session> => {
      const keeper = await open(url)
      const next = batches()
      return session(keeper.close, batch, () => keeper.upsert(next()))
    },
    search: async (url: string): Promise<Session> => {
      const keeper = await filled(await open(url))
      const next = nextQuery()
      return session(keeper.close, 1, () => keeper.search(next()))
    },
    // Of few vectors: what is measured is the way to the server.
    searchOne: async (url: string): Promise<Session> => {
      const keeper = await filled(await open(url), batch)
      const next = nextQuery()
      return session(keeper.close, 1, () => keeper.search(next()))
    },
    searchTen: async (url: string): Promise<Session> => {
      const keeper = await filled(await open(url), batch)
      const ten = queries.slice(0, 10)
      const all = keeper.searchTen ?? ((vectors) => Promise.all(vectors.map((one) => keeper.search(one))))
      return session(keeper.close, 1, () => all(ten))
    }
  }
}

/** A file that is gone with the process. */
export const temporary = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-bench-"))
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }))
  return join(folder, "vectors.db")
}
