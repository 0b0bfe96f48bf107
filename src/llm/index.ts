/** Language models: one service, a layer for each kind of endpoint. */
export * as FallbackLlm from "./FallbackLlm.ts"
export * as Llm from "./Llm.ts"
export * as LlmError from "./LlmError.ts"
export * as Message from "./Message.ts"
export * as OpenAiLlm from "./OpenAiLlm.ts"
export * as Usage from "./Usage.ts"
