/** Loaded before a program, gives it `holdfast/openai` where it asks for `openai`: its import line, changed. */
import { registerHooks } from "node:module"

registerHooks({
  resolve: (specifier, context, next) => next(specifier === "openai" ? "holdfast/openai" : specifier, context)
})
