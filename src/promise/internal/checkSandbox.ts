/** What the types of a sandbox's options promise, checked for programs without types. */
import type { Language } from "../../sandbox/Sandbox.ts"
import type { SandboxOptions } from "../Sandboxes.ts"
import { atLeast, httpUrl, oneOf, onlyKnown, type Time, toDuration } from "../Time.ts"
import { checkHeaders } from "./checkLlm.ts"

/** Throws a `TypeError` for a value that is not as it should be; `undefined` never is wrong. */
type Rule = (value: unknown, option: string) => void

/** An option that is new in a layer does not compile before it has a rule. */
type RulesOf<Options> = {
  readonly [Name in Exclude<keyof Options, "provider">]-?: Rule
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** What was given is not repeated: it may be a secret. */
const text: Rule = (value, option) => {
  if (value === undefined || (typeof value === "string" && value !== "")) return
  throw new TypeError(`${option}: give a text that is not empty`)
}

/** A key of no letters is none: `process.env.KEY ?? ""`. */
const key: Rule = (value, option) => (value === "" ? undefined : text(value, option))

const needed =
  (rule: Rule, what: string): Rule =>
  (value, option) => {
    if (value === undefined) throw new TypeError(`${option}: ${what}`)
    rule(value, option)
  }

const numbers =
  (least: number): Rule =>
  (value, option) =>
    atLeast(value, least, option)

const one =
  (...choices: ReadonlyArray<unknown>): Rule =>
  (value, option) =>
    oneOf(value, choices, option)

const each =
  (...choices: ReadonlyArray<unknown>): Rule =>
  (value, option) => {
    if (value === undefined) return
    if (!Array.isArray(value)) throw new TypeError(`${option}: give a list of ${choices.join(", ")}`)
    value.forEach((item, index) => oneOf(item ?? "nothing", choices, `${option}[${index}]`))
  }

/** Texts and numbers may be times; which ones are is said by `toDuration`. */
const isTime = (value: unknown): value is Time => typeof value === "number" || typeof value === "string"

const time: Rule = (value, option) => {
  if (value === undefined) return
  if (!isTime(value))
    throw new TypeError(`${option}: a ${typeof value} is not a time; give milliseconds or "10 seconds"`)
  toDuration(value, option)
}

const record =
  (rules: Readonly<Record<string, Rule>>): Rule =>
  (value, option) => {
    if (value === undefined) return
    if (!isObject(value)) throw new TypeError(`${option}: give an object of options`)
    onlyKnown(value, Object.keys(rules), option)
    const given: Readonly<Record<string, unknown>> = { ...value }
    for (const [name, rule] of Object.entries(rules)) rule(given[name], `${option}.${name}`)
  }

const texts: Rule = checkHeaders

const url: Rule = httpUrl

const languageNames: Readonly<Record<Language, Rule>> = {
  python: text,
  javascript: text,
  typescript: text,
  bash: text,
  r: text,
  java: text
}

const flag = one(true, false)

/** Paths of the host. */
const paths: Rule = (value, option) => {
  if (value === undefined || (Array.isArray(value) && value.every((path) => typeof path === "string"))) return
  throw new TypeError(`${option}: give a list of paths`)
}

const languages = each(...Object.keys(languageNames))

const rules: {
  readonly [Provider in SandboxOptions["provider"]]: RulesOf<Extract<SandboxOptions, { readonly provider: Provider }>>
} = {
  local: {
    languages,
    os: one("auto", "require", "off"),
    pool: record({ python: numbers(0), javascript: numbers(0) }),
    maxSessions: numbers(1),
    maxQueue: numbers(0),
    grace: time,
    maxTimeout: time,
    lifetime: time,
    cacheDir: text,
    limits: record({
      pythonMemoryBytes: numbers(1),
      javascriptMemoryBytes: numbers(1),
      fileBytes: numbers(0),
      fileCount: numbers(0),
      outputBytes: numbers(0),
      resultBytes: numbers(0),
      codeBytes: numbers(1),
      transferBytes: numbers(1)
    })
  },
  process: {
    languages,
    python: text,
    node: text,
    bash: text,
    wall: text,
    unsafeNoIsolation: flag,
    readable: paths,
    maxSessions: numbers(1),
    maxQueue: numbers(0),
    grace: time,
    maxTimeout: time,
    lifetime: time,
    limits: record({
      memoryBytes: numbers(1),
      pythonMemoryBytes: numbers(1),
      javascriptMemoryBytes: numbers(1),
      processes: numbers(1),
      fileBytes: numbers(0),
      fileCount: numbers(0),
      transferBytes: numbers(1),
      outputBytes: numbers(0),
      resultBytes: numbers(0),
      codeBytes: numbers(1)
    })
  },
  e2b: {
    apiKey: key,
    domain: text,
    apiUrl: url,
    sandboxUrl: url,
    languages,
    lifetime: time,
    grace: time,
    limits: record({ outputBytes: numbers(0), resultBytes: numbers(0), codeBytes: numbers(1) }),
    template: text,
    metadata: texts,
    allowInternetAccess: flag,
    reapOrphans: text
  },
  rest: {
    baseUrl: needed(url, 'give the service\'s address, such as "http://127.0.0.1:8080"'),
    apiKey: key,
    keyHeader: text,
    headers: texts,
    paths: texts,
    languages,
    runtimes: record(languageNames),
    features: each("timeout", "interrupt", "contexts", "lifetime", "commands", "files"),
    grace: time,
    name: text
  }
}

/** Throws a `TypeError` that names what is wrong. */
export const checkSandbox = (options: SandboxOptions): SandboxOptions => {
  if (!isObject(options)) throw new TypeError("sandbox: give the options of a sandbox, or leave it out")
  const { provider, ...rest } = options
  oneOf(provider ?? "nothing", Object.keys(rules), "sandbox.provider")
  record(rules[provider])(rest, "sandbox")
  return options
}
