/**
 * What goes over the wire of chat completions, embeddings and models, by the names of the `openai` package (7.55.0), whose
 * types these stand in for: https://platform.openai.com/docs/api-reference. Nothing of it is checked when it arrives.
 */

/** Set by the door from the header `x-request-id`; not enumerable. */
interface Identified {
  _request_id?: string | null
}

export interface CompletionUsage {
  completion_tokens: number
  prompt_tokens: number
  total_tokens: number
  completion_tokens_details?: {
    accepted_prediction_tokens?: number
    audio_tokens?: number
    reasoning_tokens?: number
    rejected_prediction_tokens?: number
    text_tokens?: number
  }
  prompt_tokens_details?: { audio_tokens?: number; cached_tokens?: number; cache_write_tokens?: number }
}

export type Metadata = { [key: string]: string }
export type ReasoningEffort = "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | "max" | null
type ServiceTier = "auto" | "default" | "flex" | "scale" | "priority" | "fast" | null

// --- messages --------------------------------------------------------------------------------------------------------

interface CacheBreakpoint {
  prompt_cache_breakpoint?: { mode: "explicit"; ttl?: "30m" | "12h" }
}

export interface ChatCompletionContentPartText extends CacheBreakpoint {
  text: string
  type: "text"
}
export interface ChatCompletionContentPartImage extends CacheBreakpoint {
  image_url: { url: string; detail?: "auto" | "low" | "high" | "original" }
  type: "image_url"
}
export interface ChatCompletionContentPartInputAudio extends CacheBreakpoint {
  input_audio: { data: string; format: "wav" | "mp3" }
  type: "input_audio"
}
export interface ChatCompletionContentPartFile extends CacheBreakpoint {
  file: { file_data?: string; file_id?: string; filename?: string }
  type: "file"
}
export interface ChatCompletionContentPartRefusal {
  refusal: string
  type: "refusal"
}
export type ChatCompletionContentPart =
  | ChatCompletionContentPartText
  | ChatCompletionContentPartImage
  | ChatCompletionContentPartInputAudio
  | ChatCompletionContentPartFile

type Texts = string | Array<ChatCompletionContentPartText>

export interface ChatCompletionDeveloperMessageParam {
  content: Texts
  role: "developer"
  name?: string
}
export interface ChatCompletionSystemMessageParam {
  content: Texts
  role: "system"
  name?: string
}
export interface ChatCompletionUserMessageParam {
  content: string | Array<ChatCompletionContentPart>
  role: "user"
  name?: string
}
export interface ChatCompletionAssistantMessageParam {
  role: "assistant"
  audio?: { id: string } | null
  content?: string | Array<ChatCompletionContentPartText | ChatCompletionContentPartRefusal> | null
  function_call?: NamedArguments | null
  name?: string
  refusal?: string | null
  tool_calls?: Array<ChatCompletionMessageToolCall>
}
export interface ChatCompletionToolMessageParam {
  content: Texts
  role: "tool"
  tool_call_id: string
}
export interface ChatCompletionFunctionMessageParam {
  content: string | null
  name: string
  role: "function"
}
export type ChatCompletionMessageParam =
  | ChatCompletionDeveloperMessageParam
  | ChatCompletionSystemMessageParam
  | ChatCompletionUserMessageParam
  | ChatCompletionAssistantMessageParam
  | ChatCompletionToolMessageParam
  | ChatCompletionFunctionMessageParam
export type ChatCompletionRole = "developer" | "system" | "user" | "assistant" | "tool" | "function"

interface NamedArguments {
  arguments: string
  name: string
}
export interface ChatCompletionMessageFunctionToolCall {
  id: string
  function: NamedArguments
  type: "function"
}
export interface ChatCompletionMessageCustomToolCall {
  id: string
  custom: { input: string; name: string }
  type: "custom"
}
export type ChatCompletionMessageToolCall = ChatCompletionMessageFunctionToolCall | ChatCompletionMessageCustomToolCall

// --- tools and formats -----------------------------------------------------------------------------------------------

export type FunctionParameters = { [key: string]: unknown }
export interface FunctionDefinition {
  name: string
  description?: string
  parameters?: FunctionParameters
  strict?: boolean | null
}
export interface ChatCompletionFunctionTool {
  function: FunctionDefinition
  type: "function"
}
export interface ChatCompletionCustomTool {
  custom: {
    name: string
    description?: string
    format?: { type: "text" } | { grammar: { definition: string; syntax: "lark" | "regex" }; type: "grammar" }
  }
  type: "custom"
}
export type ChatCompletionTool = ChatCompletionFunctionTool | ChatCompletionCustomTool
export interface ChatCompletionNamedToolChoice {
  function: { name: string }
  type: "function"
}
export interface ChatCompletionNamedToolChoiceCustom {
  custom: { name: string }
  type: "custom"
}
export interface ChatCompletionAllowedToolChoice {
  allowed_tools: { mode: "auto" | "required"; tools: Array<{ [key: string]: unknown }> }
  type: "allowed_tools"
}
export type ChatCompletionToolChoiceOption =
  | "none"
  | "auto"
  | "required"
  | ChatCompletionAllowedToolChoice
  | ChatCompletionNamedToolChoice
  | ChatCompletionNamedToolChoiceCustom
export interface ResponseFormatText {
  type: "text"
}
export interface ResponseFormatJSONObject {
  type: "json_object"
}
export interface ResponseFormatJSONSchema {
  json_schema: { name: string; description?: string; schema?: { [key: string]: unknown }; strict?: boolean | null }
  type: "json_schema"
}
export interface ChatCompletionStreamOptions {
  include_obfuscation?: boolean
  include_usage?: boolean
}
export interface ChatCompletionPredictionContent {
  content: Texts
  type: "content"
}
export interface ChatCompletionAudioParam {
  format: "wav" | "aac" | "mp3" | "flac" | "opus" | "pcm16"
  voice: string | { id: string }
}
interface WebSearchOptions {
  search_context_size?: "low" | "medium" | "high"
  user_location?: {
    approximate: { city?: string; country?: string; region?: string; timezone?: string }
    type: "approximate"
  } | null
}
interface ModerationMode {
  mode: "score" | "block"
}

// --- the request -----------------------------------------------------------------------------------------------------

export interface ChatCompletionCreateParamsBase {
  messages: Array<ChatCompletionMessageParam>
  model: string
  audio?: ChatCompletionAudioParam | null
  frequency_penalty?: number | null
  function_call?: "none" | "auto" | { name: string }
  functions?: Array<{ name: string; description?: string; parameters?: FunctionParameters }>
  logit_bias?: { [key: string]: number } | null
  logprobs?: boolean | null
  max_completion_tokens?: number | null
  max_tokens?: number | null
  metadata?: Metadata | null
  modalities?: Array<"text" | "audio"> | null
  moderation?: {
    model: string
    policy?: { input?: ModerationMode | null; output?: ModerationMode | null } | null
  } | null
  n?: number | null
  parallel_tool_calls?: boolean
  prediction?: ChatCompletionPredictionContent | null
  presence_penalty?: number | null
  prompt_cache_key?: string | null
  prompt_cache_options?: { mode?: "implicit" | "explicit"; ttl?: "30m" }
  prompt_cache_retention?: "in_memory" | "24h" | null
  reasoning_effort?: ReasoningEffort
  response_format?: ResponseFormatText | ResponseFormatJSONSchema | ResponseFormatJSONObject
  safety_identifier?: string | null
  seed?: number | null
  service_tier?: ServiceTier
  stop?: string | Array<string> | null
  store?: boolean | null
  stream?: boolean | null
  stream_options?: ChatCompletionStreamOptions | null
  temperature?: number | null
  tool_choice?: ChatCompletionToolChoiceOption
  tools?: Array<ChatCompletionTool>
  top_logprobs?: number | null
  top_p?: number | null
  user?: string
  verbosity?: "low" | "medium" | "high" | null
  web_search_options?: WebSearchOptions
}
export interface ChatCompletionCreateParamsNonStreaming extends ChatCompletionCreateParamsBase {
  stream?: false | null
}
export interface ChatCompletionCreateParamsStreaming extends ChatCompletionCreateParamsBase {
  stream: true
}
export type ChatCompletionCreateParams = ChatCompletionCreateParamsNonStreaming | ChatCompletionCreateParamsStreaming
export type ChatCompletionParseParams = ChatCompletionCreateParamsNonStreaming
export type ChatCompletionStreamParams = Omit<ChatCompletionCreateParamsBase, "stream"> & { stream?: true }

// --- the answer ------------------------------------------------------------------------------------------------------

type FinishReason = "stop" | "length" | "tool_calls" | "content_filter" | "function_call"

interface Logprob {
  token: string
  bytes: Array<number> | null
  logprob: number
}
export interface ChatCompletionTokenLogprob extends Logprob {
  top_logprobs: Array<Logprob>
}
interface Logprobs {
  content: Array<ChatCompletionTokenLogprob> | null
  refusal: Array<ChatCompletionTokenLogprob> | null
}
export interface ChatCompletionAudio {
  id: string
  data: string
  expires_at: number
  transcript: string
}
export interface ChatCompletionMessage {
  content: string | null
  refusal: string | null
  role: "assistant"
  annotations?: Array<{
    type: "url_citation"
    url_citation: { end_index: number; start_index: number; title: string; url: string }
  }>
  audio?: ChatCompletionAudio | null
  function_call?: NamedArguments | null
  tool_calls?: Array<ChatCompletionMessageToolCall>
}
interface Choice {
  finish_reason: FinishReason
  index: number
  logprobs: Logprobs | null
  message: ChatCompletionMessage
}
type ModerationOf =
  | {
      model: string
      results: Array<{
        categories: { [key: string]: boolean }
        category_applied_input_types: { [key: string]: Array<"text" | "image"> }
        category_scores: { [key: string]: number }
        flagged: boolean
        model: string
        type: "moderation_result"
      }>
      type: "moderation_results"
    }
  | { code: string; message: string; type: "error" }

interface Answer {
  id: string
  created: number
  model: string
  moderation?: { input: ModerationOf; output: ModerationOf } | null
  service_tier?: ServiceTier
  system_fingerprint?: string
}
export interface ChatCompletion extends Answer, Identified {
  choices: Array<Choice>
  metadata?: Metadata | null
  object: "chat.completion"
  usage?: CompletionUsage
}
interface ToolCallDelta {
  index: number
  id?: string
  custom?: { input?: string; name?: string }
  function?: { arguments?: string; name?: string }
  type?: "function" | "custom"
}
interface Delta {
  audio?: Partial<ChatCompletionAudio>
  content?: string | null
  function_call?: { arguments?: string; name?: string }
  refusal?: string | null
  role?: "developer" | "system" | "user" | "assistant" | "tool"
  tool_calls?: Array<ToolCallDelta>
}
export interface ChatCompletionChunk extends Answer {
  choices: Array<{ delta: Delta; index: number; finish_reason: FinishReason | null; logprobs?: Logprobs | null }>
  object: "chat.completion.chunk"
  obfuscation?: string
  usage?: CompletionUsage | null
}

// --- the answer, parsed ----------------------------------------------------------------------------------------------

export interface ParsedFunctionToolCall extends ChatCompletionMessageFunctionToolCall {
  function: NamedArguments & { parsed_arguments?: unknown }
}
export interface ParsedChatCompletionMessage<ParsedT> extends ChatCompletionMessage {
  parsed: ParsedT | null
  tool_calls?: Array<ParsedFunctionToolCall | ChatCompletionMessageCustomToolCall>
}
export interface ParsedChoice<ParsedT> extends Choice {
  message: ParsedChatCompletionMessage<ParsedT>
}
export interface ParsedChatCompletion<ParsedT> extends ChatCompletion {
  choices: Array<ParsedChoice<ParsedT>>
}

// --- embeddings and models -------------------------------------------------------------------------------------------

export interface EmbeddingCreateParams {
  input: string | Array<string> | Array<number> | Array<Array<number>>
  model: string
  dimensions?: number
  encoding_format?: "float" | "base64"
  user?: string
}
export interface Embedding {
  embedding: Array<number>
  index: number
  object: "embedding"
}
interface Embeddings<Item> extends Identified {
  data: Array<Item>
  model: string
  object: "list"
  usage: { prompt_tokens: number; total_tokens: number }
}
export interface CreateEmbeddingResponse extends Embeddings<Embedding> {}
export interface Base64EmbeddingResponse extends Embeddings<Omit<Embedding, "embedding"> & { embedding: string }> {}
export interface Model extends Identified {
  id: string
  created: number
  object: "model"
  owned_by: string
  shutdown_date?: string | null
}
