/**
 * What traces tell of calls: a span for each call to a model, and one for each attempt below it, where there is a tracer.
 *
 * Spans and the labels of metrics name an endpoint and the tag of an outcome; never a key or a tenant.
 */
import * as Context from "effect/Context"

/** Whether spans carry prompts, answers and the words of errors. Default: `false`, traces are read by many. */
export const RecordContent: Context.Reference<boolean> = Context.Reference<boolean>(
  "holdfast/policy/Tracing/RecordContent",
  { defaultValue: () => false }
)
