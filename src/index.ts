/**
 * holdfast for Effect programs: the modules of every floor, under their own names.
 *
 * The other doors have entries of their own: `holdfast/promise` for plain programs, `holdfast/testing` for tests.
 */
export * from "./agent/index.ts"
export * from "./http/index.ts"
export * from "./llm/index.ts"
export * from "./policy/index.ts"
export * from "./sandbox/index.ts"
export * from "./vector/index.ts"
export * from "./work/index.ts"
