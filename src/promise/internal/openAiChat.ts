/** The shapes of chat completions by both paths that programs take to them: `Chat.X` and `Chat.Completions.X`. */
export type * from "./openAiShapes.ts"
export type * as Completions from "./openAiShapes.ts"
