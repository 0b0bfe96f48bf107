/**
 * Compiled beside the package, never run: what of its types `holdfast/openai` can stand in for.
 *
 * The package's classes have private members, so that no other class can ever be assigned to them as a whole: not
 * `OpenAI`, `APIPromise`, `Stream`, `Page`, `ChatCompletionStream` or an `APIError`. What programs use of them is what is
 * public, and that is compared: `Face` is a class without its private members.
 */
import type OursClass from "holdfast/openai"
import type * as OursModule from "holdfast/openai"
import type Theirs from "openai"
import type * as TheirsModule from "openai"
import type { AutoParseableResponseFormat } from "openai/lib/parser"
import type { Stream as TheirStreamOf } from "openai/streaming"
import { expectTypeOf } from "vitest"

type Ours = OursClass

/** What is public of a class. */
type Face<T> = { readonly [Name in keyof T]: T[Name] }

type Answered<T> = Pick<Promise<T>, "then" | "catch" | "finally">

// --- what is given: whatever the package takes, ours takes ----------------------------------------------------------

type TheirChat = Theirs["chat"]["completions"]
type OurChat = Ours["chat"]["completions"]

export const whole = (client: Ours, body: Theirs.ChatCompletionCreateParamsNonStreaming) =>
  client.chat.completions.create(body)
export const streamed = (client: Ours, body: Theirs.ChatCompletionCreateParamsStreaming) =>
  client.chat.completions.create(body)
export const either = (client: Ours, body: Theirs.ChatCompletionCreateParams) => client.chat.completions.create(body)
export const vectors = (client: Ours, body: Theirs.EmbeddingCreateParams) => client.embeddings.create(body)
expectTypeOf<Theirs.ChatCompletionMessageParam>().toExtend<OursClass.ChatCompletionMessageParam>()
expectTypeOf<Theirs.ChatCompletionTool>().toExtend<OursClass.ChatCompletionTool>()
expectTypeOf<Theirs.Chat.Completions.ChatCompletionContentPart>().toExtend<OursClass.ChatCompletionContentPart>()
expectTypeOf<Parameters<TheirChat["stream"]>[0]>().toExtend<Parameters<OurChat["stream"]>[0]>()
expectTypeOf<Parameters<TheirChat["parse"]>[0]>().toExtend<Parameters<OurChat["parse"]>[0]>()

// And the other way round: what a program has written for ours is fit for the package.
expectTypeOf<OursClass.ChatCompletionMessageParam>().toExtend<Theirs.ChatCompletionMessageParam>()
expectTypeOf<OursClass.ChatCompletionTool>().toExtend<Theirs.ChatCompletionTool>()
expectTypeOf<OursClass.ChatCompletionCreateParams>().toExtend<Theirs.ChatCompletionCreateParams>()
expectTypeOf<OursClass.EmbeddingCreateParams>().toExtend<Theirs.EmbeddingCreateParams>()
expectTypeOf<OursModule.RequestOptions>().toExtend<Theirs.RequestOptions>()
expectTypeOf<Omit<OursModule.ClientOptions, "policy">>().toExtend<TheirsModule.ClientOptions>()

// --- what is got: whatever ours gives, a program written for the package takes ---------------------------------------

expectTypeOf<OursClass.ChatCompletion>().toExtend<Theirs.ChatCompletion>()
expectTypeOf<OursClass.ChatCompletionChunk>().toExtend<Theirs.ChatCompletionChunk>()
expectTypeOf<OursClass.CreateEmbeddingResponse>().toExtend<Theirs.CreateEmbeddingResponse>()
expectTypeOf<OursClass.Model>().toExtend<Theirs.Model>()
expectTypeOf<OursClass.CompletionUsage>().toExtend<Theirs.CompletionUsage>()
expectTypeOf<OursClass.ChatCompletionMessage>().toExtend<Theirs.ChatCompletionMessageParam>()

expectTypeOf<Awaited<ReturnType<typeof whole>>>().toExtend<Theirs.ChatCompletion & { _request_id?: string | null }>()
expectTypeOf<Awaited<ReturnType<typeof vectors>>>().toExtend<Theirs.CreateEmbeddingResponse>()
expectTypeOf<Awaited<ReturnType<Ours["models"]["retrieve"]>>>().toExtend<Theirs.Model>()

// The faces of the classes.
type TheirStream = TheirStreamOf<Theirs.ChatCompletionChunk>
type Readable = Omit<Face<TheirStream>, "tee" | "__betaTransformIterator">
expectTypeOf<OursModule.Stream<OursClass.ChatCompletionChunk>>().toExtend<Readable>()
type TheirPromise = Face<TheirsModule.APIPromise<Theirs.ChatCompletion>>
expectTypeOf<OursModule.APIPromise<OursClass.ChatCompletion>>().toExtend<
  Pick<TheirPromise, "asResponse" | "withResponse"> & Answered<Theirs.ChatCompletion>
>()
type Page = Awaited<ReturnType<Theirs["models"]["list"]>>
expectTypeOf<Awaited<ReturnType<Ours["models"]["list"]>>>().toExtend<
  Omit<Face<Page>, "iterPages" | "getNextPage" | "nextPageRequestOptions">
>()
type Runner = ReturnType<TheirChat["stream"]>
type Ends = "done" | "finalContent" | "finalMessage" | "finalFunctionToolCall" | "totalUsage" | "abort" | "controller"
expectTypeOf<OursModule.ChatCompletionStream>().toExtend<
  Pick<Face<Runner>, Ends | "ended" | "errored" | "aborted" | "toReadableStream" | typeof Symbol.asyncIterator>
>()
expectTypeOf<OursModule.APIError>().toExtend<Omit<Face<TheirsModule.APIError>, "error">>()
expectTypeOf<OursModule.RateLimitError>().toExtend<Omit<Face<TheirsModule.RateLimitError>, "error">>()

// The client as far as it goes.
expectTypeOf<Ours>().toExtend<
  Pick<Theirs, "apiKey" | "baseURL" | "maxRetries" | "organization" | "project" | "timeout">
>()

// What is parsed has the type of what parses it.
export const parsed = (
  client: Ours,
  body: { messages: []; model: string; response_format: AutoParseableResponseFormat<{ readonly city: string }> }
) => client.chat.completions.parse(body)
expectTypeOf<Awaited<ReturnType<typeof parsed>>["choices"][number]["message"]["parsed"]>().toEqualTypeOf<{
  readonly city: string
} | null>()
