/**
 * What a stream gives: its events, once, in a loop, and all of it together, by promises. Nothing is sent before the first
 * of both is asked for. A promise reads on to the end, and what a loop has not taken is kept for it: they may stand side
 * by side, and a loop may begin later.
 */
import type { Answer } from "../llm/Llm.ts"
import type { Usage } from "../llm/Usage.ts"
import type { ToolAnswer } from "./Objects.ts"

/** A stream that is read by a loop, or by a reader of web streams. */
export interface Flow<Event> extends AsyncIterableIterator<Event>, AsyncDisposable {
  /**
   * Closes the connection; who waits is rejected with the reason at once. Default: an `AbortError`, as a signal has it.
   * A stream that has ended stays as it is.
   */
  readonly abort: (reason?: unknown) => void
  /** The events as a web stream, in the place of a loop. It reads when it is read; cancelling it closes the connection. */
  readonly toReadableStream: () => ReadableStream<Event>
}

/** The same, read by promises, too. */
export interface Reading<Event, Result> extends Flow<Event> {
  /** What the stream comes to. Rejects with what it failed with, and with a `TypeError` when it was left before its end. */
  readonly result: () => Promise<Result>
}

/** The same for what a model says. */
export interface TextReading<Event, Result> extends Reading<Event, Result> {
  /** The whole text. */
  readonly text: () => Promise<string>
  /** What was used, once the stream has ended. Asking for it reads the stream; who asks and does not wait loses nothing. */
  readonly usage: Promise<Usage>
  /**
   * The text alone as a web stream, in the place of a loop: `new Response(stream.pipeThrough(new TextEncoderStream()))`.
   * It fails when an answer begins again (`onCut: "restart"`): what was said cannot be taken back.
   */
  readonly toTextStream: () => ReadableStream<string>
}

/** What a streamed answer comes to: all of an answer but what came over the wire. */
export type StreamAnswer = Omit<Answer, "raw">

/** What a streamed loop of tools comes to: the last answer, with the way to it. */
export type StreamToolAnswer = Omit<ToolAnswer, "raw">
