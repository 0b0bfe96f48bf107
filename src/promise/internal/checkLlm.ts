/** What the types of a model's options promise, checked for programs without types. */
import type { FallbackOptions, LlmOptions, PoolOptions, SingleOptions } from "../Model.ts"
import { atLeast, durations, httpUrl, oneOf, onlyKnown } from "../Time.ts"

const endpoint = ["provider", "model", "baseUrl", "headers", "onCut", "apiKey"]

const singles: Readonly<Record<SingleOptions["provider"], ReadonlyArray<string>>> = {
  openai: [
    ...endpoint,
    "includeUsage",
    "jsonSchema",
    "maxTokensField",
    "prefix",
    "prefixBaseUrl",
    "scheme",
    "thinking"
  ],
  deepseek: endpoint,
  evolution: [...endpoint, "keyId", "secret", "scheme", "tokenUrl", "jsonSchema", "prefix"],
  anthropic: [...endpoint, "authScheme", "betas", "version", "maxTokens"],
  gemini: endpoint
}

const coolDowns = ["coolDown", "keyCoolDown", "maxCoolDown"]

const groups = {
  pool: { own: ["provider", "members", "strategy", "onMove", ...coolDowns], member: ["name", "weight"] },
  fallback: {
    own: ["provider", "members", "onFallback", "coolDown", "maxCoolDown"],
    member: ["name", "longerContext"]
  }
} as const

const known = [...Object.keys(singles), ...Object.keys(groups)]

const booleans = [true, false]

/** What these options may be, with any provider that has them. */
const choices: Readonly<Record<string, ReadonlyArray<unknown>>> = {
  onCut: ["fail", "restart", "continue"],
  prefix: ["prefix", "continue_final_message"],
  scheme: ["Bearer", "Api-Key"],
  authScheme: ["bearer", "x-api-key"],
  version: ["2026-10-21", "2023-06-01"],
  maxTokensField: ["max_tokens", "max_completion_tokens"],
  thinking: ["effort", "deepseek"],
  jsonSchema: booleans,
  includeUsage: booleans,
  longerContext: booleans
}

const urls = ["baseUrl", "tokenUrl", "prefixBaseUrl"]

/** Texts of which some are secrets: what was given in their place is not repeated. */
const texts = ["apiKey", "keyId", "secret", "name"]

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

const checkModel = (options: SingleOptions, where: string): void => {
  const { model, provider } = options
  if (typeof model === "string" && model !== "") return
  // A dedicated endpoint has one model.
  if (provider === "evolution" && model === undefined && options.apiKey === undefined) return
  throw new TypeError(`${where}.model: give the name of a model`)
}

/** `"continue"` where nobody documents it: the options alone tell. */
const checkOnCut = (options: SingleOptions, where: string): void => {
  if (options.provider === "gemini") return oneOf(options.onCut, ["fail", "restart"], `${where}.onCut`)
  if (options.provider !== "anthropic" || options.onCut !== "continue" || options.version === "2023-06-01") return
  throw new TypeError(`${where}.onCut: "continue" needs version: "2023-06-01", and a model that takes it`)
}

/** Throws a `TypeError` that names what is wrong. */
export const checkHeaders = (headers: unknown, option: string): void => {
  if (headers === undefined) return
  if (isObject(headers) && Object.values(headers).every((value) => typeof value === "string")) return
  throw new TypeError(`${option}: give an object of texts by their names`)
}

/** Throws a `TypeError` that names what is wrong, without repeating it. */
export const checkTexts = (options: object, names: ReadonlyArray<string>, where: string): void => {
  const given: Readonly<Record<string, unknown>> = { ...options }
  for (const name of names) {
    if (given[name] === undefined || typeof given[name] === "string") continue
    throw new TypeError(`${where}.${name}: this is a ${typeof given[name]}, not a text`)
  }
}

const checkSingle = (options: SingleOptions, where: string, more: ReadonlyArray<string> = []): void => {
  onlyKnown(options, [...singles[options.provider], ...more], where)
  const given: Readonly<Record<string, unknown>> = { ...options }
  checkModel(options, where)
  checkTexts(options, texts, where)
  for (const name of urls) httpUrl(given[name], `${where}.${name}`)
  for (const [name, allowed] of Object.entries(choices)) oneOf(given[name], allowed, `${where}.${name}`)
  atLeast(given.maxTokens, 1, `${where}.maxTokens`)
  checkHeaders(options.headers, `${where}.headers`)
  checkOnCut(options, where)
  const { betas } = given
  if (betas !== undefined && !(Array.isArray(betas) && betas.every((beta) => typeof beta === "string")))
    throw new TypeError(`${where}.betas: give a list of names`)
}

const checkMember = (member: unknown, where: string, more: ReadonlyArray<string>): void => {
  if (!isObject(member)) throw new TypeError(`${where}: give the options of one model`)
  if (!isSingle(member)) {
    oneOf("provider" in member ? member.provider : "nothing", Object.keys(singles), `${where}.provider`)
    return
  }
  checkSingle(member, where, more)
  const weight = "weight" in member ? member.weight : undefined
  if (weight === undefined || (typeof weight === "number" && weight > 0 && weight < Infinity)) return
  throw new TypeError(`${where}.weight: ${JSON.stringify(weight)} is not a number above 0`)
}

/** Cool-downs and `servedBy` go by the names. */
const checkNames = (members: ReadonlyArray<{ readonly name?: string | undefined }>): void => {
  const seen = new Set<string>()
  for (const [index, { name = `llm ${index + 1}` }] of members.entries()) {
    if (seen.has(name)) throw new TypeError(`llm.members[${index}].name: "${name}" is the name of another member`)
    seen.add(name)
  }
}

const isSingle = (options: object): options is SingleOptions =>
  "provider" in options && typeof options.provider === "string" && Object.hasOwn(singles, options.provider)

const checkHook = (hook: unknown, option: string): void => {
  if (hook === undefined || typeof hook === "function") return
  throw new TypeError(`${option}: ${JSON.stringify(hook)} is not a function`)
}

const checkGroup = (options: PoolOptions | FallbackOptions): void => {
  const { coolDown, maxCoolDown, members, provider } = options
  onlyKnown(options, groups[provider].own, "llm")
  if (!Array.isArray(members) || members.length === 0) throw new TypeError("llm.members: give at least one member")
  members.forEach((member, index) => checkMember(member, `llm.members[${index}]`, groups[provider].member))
  checkNames(members)
  durations({ coolDown, maxCoolDown }, coolDowns, "llm")
  if (options.provider === "fallback") return checkHook(options.onFallback, "llm.onFallback")
  durations({ keyCoolDown: options.keyCoolDown }, coolDowns, "llm")
  oneOf(options.strategy, ["leastInFlight", "roundRobin"], "llm.strategy")
  checkHook(options.onMove, "llm.onMove")
}

/** Throws a `TypeError` that names what is wrong. */
export const checkLlm = (options: LlmOptions): LlmOptions => {
  if (!isObject(options)) throw new TypeError("llm: give the options of a model, or leave it out")
  if (isSingle(options)) checkSingle(options, "llm")
  else {
    oneOf(options.provider ?? "nothing", known, "llm.provider")
    checkGroup(options)
  }
  return options
}
