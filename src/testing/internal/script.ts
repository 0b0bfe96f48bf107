/** How test doubles read what a test told them to say. */
import * as Effect from "effect/Effect"
import { isPromiseLike } from "effect/Predicate"

/** A reply, now, or after an effect or a promise. An error of the service is an effect that fails. */
export type Scripted<Reply, Error> = Reply | Effect.Effect<Reply, Error> | PromiseLike<Reply>

/** The same reply for every call, a sequence with one for each, or a function of the request and the call's number from 1. */
export type Script<Request, Reply, Error> =
  | Scripted<Reply, Error>
  | ReadonlyArray<Scripted<Reply, Error>>
  | ((request: Request, call: number) => Scripted<Reply, Error>)

/** The reply to call number `call`; past the end of a sequence, the error that `exhausted` makes of a sentence. */
export const take = <Request, Reply extends string | object, Error>(
  script: Script<Request, Reply, Error>,
  request: Request,
  call: number,
  exhausted: (description: string) => Error
): Effect.Effect<Reply, Error> => {
  if (typeof script === "function") return settle(() => script(request, call))
  if (!isSequence(script)) return settle(() => script)
  const reply = script[call - 1]
  return reply === undefined
    ? Effect.fail(exhausted(`call ${call} has no reply, the script ends after ${script.length}`))
    : settle(() => reply)
}

const isSequence = <A>(script: A | ReadonlyArray<A>): script is ReadonlyArray<A> => Array.isArray(script)

const isEffect = <Reply, Error>(reply: unknown): reply is Effect.Effect<Reply, Error> => Effect.isEffect(reply)

const isPromise = <Reply, Error>(reply: Scripted<Reply, Error>): reply is PromiseLike<Reply> => isPromiseLike(reply)

/** What is thrown fails the call when it is an error of Effect's kind, as those of holdfast are; else it is a defect. */
const settle = <Reply, Error>(scripted: () => Scripted<Reply, Error>): Effect.Effect<Reply, Error> => {
  const thrown = (error: unknown) => (isEffect<Reply, Error>(error) ? error : Effect.die(error))
  return Effect.try({ try: scripted, catch: (error) => error }).pipe(
    Effect.catch((error): Effect.Effect<Scripted<Reply, Error>, Error> => thrown(error)),
    Effect.flatMap((reply) => {
      if (isEffect<Reply, Error>(reply)) return reply
      if (!isPromise(reply)) return Effect.succeed(reply)
      return Effect.tryPromise({ try: () => reply, catch: (error) => error }).pipe(Effect.catch(thrown))
    })
  )
}
