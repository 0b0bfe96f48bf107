/** A sandbox over HTTP: a client, the reference server, and the sandbox behind it. */
import { Effect, Layer } from "effect"
import { UndiciHttpClient } from "holdfast/http"
import { RestSandbox, type Sandbox } from "holdfast/sandbox"
import { SandboxServer } from "holdfast/testing"

export const overRest = (sandbox: Layer.Layer<Sandbox.Sandbox>): Layer.Layer<Sandbox.Sandbox> =>
  Layer.unwrap(Effect.map(SandboxServer.SandboxServer, ({ url }) => RestSandbox.layer({ baseUrl: url }))).pipe(
    Layer.provide([Layer.provide(SandboxServer.layer(), sandbox), UndiciHttpClient.layer()])
  )
