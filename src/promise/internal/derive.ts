/** A client with defaults of its own for each call. */
import type { Derived } from "../Client.ts"
import type { CallDefaults } from "../Options.ts"
import { over } from "./over.ts"

/** What a call says, over the defaults of its client; the headers of both are sent. */
const overBoth = <O extends CallDefaults>(defaults: CallDefaults, options: O | undefined): O => {
  const { headers } = defaults
  if (headers === undefined || options?.headers === undefined) return over(defaults, options)
  return { ...over(defaults, options), headers: { ...headers, ...options.headers } }
}

/** The methods of `client`, given these defaults. */
export const derive = (client: Derived, defaults: CallDefaults): Derived => {
  const { priority, signal, tenant, timeout } = defaults
  return {
    generateText: (input, options) => client.generateText(input, overBoth(defaults, options)),
    streamText: (input, options) => client.streamText(input, overBoth(defaults, options)),
    generateObject: (schema, input, options) => client.generateObject(schema, input, overBoth(defaults, options)),
    runTools: (tools, input, options) => client.runTools(tools, input, overBoth(defaults, options)),
    streamTools: (tools, input, options) => client.streamTools(tools, input, overBoth(defaults, options)),
    embed: (input, options) => client.embed(input, overBoth(defaults, options)),
    embedMany: (inputs, options) => client.embedMany(inputs, overBoth(defaults, options)),
    createSession: (options) => client.createSession(over({ signal, timeout }, options)),
    executeCode: (code, language, options) => client.executeCode(code, language, over({ signal, timeout }, options)),
    http: client.http.with({ priority, signal, tenant, timeout }),
    map: (items, f, options) => client.map(items, f, over({ signal }, options)),
    with: (further) => client.with(overBoth(defaults, further))
  }
}
