/** What a browser says of the services that it does not have. Loaded when one is asked for. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { InvalidRequest } from "../../http/ServiceReason.ts"
import { Sandbox } from "../../sandbox/Sandbox.ts"
import { SandboxError, Unavailable } from "../../sandbox/SandboxError.ts"
import { VectorError } from "../../vector/VectorError.ts"
import { VectorStore } from "../../vector/VectorStore.ts"

/** A sandbox that makes no session. */
export const sandbox = (provider: string): Layer.Layer<Sandbox> => {
  const description = `the sandbox ${JSON.stringify(provider)} needs Node; run code on a server, and call that from here`
  return Layer.succeed(Sandbox, {
    create: () => Effect.fail(new SandboxError({ provider, reason: new Unavailable({ description }) }))
  })
}

/** A store that cannot be opened. */
export const vectors = (provider: string): Layer.Layer<VectorStore, VectorError> => {
  const description = `the vector store "${provider}" needs Node; search on a server, and call that from here`
  const reason = new InvalidRequest({ description })
  return Layer.effect(VectorStore, Effect.fail(new VectorError({ provider, reason, attempts: [] })))
}
