/** A call to a server as drivers have it: its value or its reason, its sends written into the story of the call around. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Answer, Failed } from "../../http/internal/exchange.ts"
import type { OwnReason } from "../../http/internal/refusal.ts"
import type { Attempt } from "../../policy/Attempt.ts"
import { Story } from "../../policy/Attempt.ts"

export const told = <A, R extends OwnReason>(
  call: Effect.Effect<Answer<A>, Failed<R>>
): Effect.Effect<A, Failed<R>["reason"]> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const story = Context.get(context, Story)
    const write = (attempts: ReadonlyArray<Attempt>): void => void story?.attempts.push(...attempts)
    return Effect.matchEffect(call, {
      onFailure: ({ attempts, reason }) => {
        write(attempts)
        return Effect.fail(reason)
      },
      onSuccess: ({ attempts, value }) => {
        write(attempts)
        return Effect.succeed(value)
      }
    })
  })
