/** The door of `client.chat`, which is loaded with the first call: a client that asks in its own way does without. */
import type * as ManagedRuntime from "effect/ManagedRuntime"
import type { Calls } from "../Bridge.ts"
import type { Door, Question, Standards, Wire } from "./openAiCalls.ts"
import { type Answered, APIPromise } from "./openAiPromise.ts"
import type { Stream } from "./openAiStream.ts"

const nothing = (): void => {}

export class LateDoor implements Pick<Door, "ask" | "stream"> {
  private readonly calls: Calls
  private readonly load: () => Promise<Door>
  private loading: Promise<Door> | undefined

  constructor(runtime: ManagedRuntime.ManagedRuntime<Wire, unknown>, calls: Calls, standards: Standards) {
    this.calls = calls
    this.load = async () => {
      try {
        return new (await import("./openAiCalls.ts")).Door(runtime, calls, standards)
      } catch (error) {
        // In a browser it may come with the next call.
        this.loading = undefined
        throw error
      }
    }
  }

  ask<A extends object, B extends object>(
    question: Question,
    isAnswer: (body: unknown) => body is A,
    map: (answer: A) => B | Promise<B>
  ): APIPromise<B> {
    return new APIPromise(this.taken((door, isTaken) => door.answered(question, isAnswer, map, isTaken)))
  }

  stream<A extends object>(question: Question, isChunk: (chunk: unknown) => chunk is A): APIPromise<Stream<A>> {
    return new APIPromise(this.taken((door, isTaken) => door.opened(question, isChunk, isTaken)))
  }

  /** The loading is a part of the call: a client that closes meanwhile waits for it, and then for what it asks. */
  private async taken<T>(ask: (door: Door, isTaken: boolean) => Promise<Answered<T>>): Promise<Answered<T>> {
    const { calls } = this
    const isTaken = calls.isOpen(false)
    const waiting = { interruptUnsafe: nothing }
    if (isTaken) calls.begin(waiting)
    try {
      const door = await (this.loading ??= this.load())
      // Not awaited here: it has begun, and is counted itself, before the waiting is over.
      return ask(door, isTaken)
    } finally {
      calls.end(waiting)
    }
  }
}
