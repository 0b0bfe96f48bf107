/** Spans and metrics under one name, until what imports this file imports theirs. */
export * from "./internal/metrics.ts"
export * from "./internal/spans.ts"
