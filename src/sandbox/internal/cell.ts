/**
 * Lets a JavaScript cell declare again what an earlier cell declared: `let`, `const` and `class` at the top level
 * become `var`. Inside braces, brackets and parentheses nothing changes. A text that the scanner cannot follow to a
 * clean end is left as it is, so at worst the engine says "redeclaration".
 */

/** What the scanner stands on: one token, without its spaces. */
interface Token {
  readonly text: string
  readonly start: number
  readonly end: number
  readonly newLine: boolean
}

const blank = /(?:\s|\/\/[^\n]*|\/\*[^]*?\*\/)*/y
const word = /[\p{ID_Start}$_#@][\p{ID_Continue}$\u200c\u200d]*|\d[\w.]*/uy
const quoted = /'(?:\\[^]|[^'\\\n])*'|"(?:\\[^]|[^"\\\n])*"/y
const regexp = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/y

/** Words after which a `/` starts a regular expression, and an expression goes on. */
const open = new Set("return typeof case in of delete void throw new instanceof do else yield await extends".split(" "))

const match = (pattern: RegExp, code: string, at: number): number => {
  pattern.lastIndex = at
  return pattern.test(code) ? pattern.lastIndex : at
}

/** Templates within templates, beyond what anybody writes: the scanner's own stack must hold. */
const maxDepth = 100

/** End of the template literal that starts at `at`, `-1` when it has none. */
const template = (code: string, at: number, depth: number): number => {
  for (let i = at + 1; i < code.length; i++) {
    if (code[i] === "\\") i++
    else if (code[i] === "`") return i + 1
    else if (code[i] === "$" && code[i + 1] === "{") {
      const end = depth < maxDepth ? skipBraces(code, i + 2, depth + 1) : -1
      if (end < 0) return -1
      i = end - 1
    }
  }
  return -1
}

const skipBraces = (code: string, at: number, nested: number): number => {
  let depth = 1
  let before: Token | undefined
  for (let i = at; ;) {
    const token = next(code, i, before, nested)
    if (token === undefined) return -1
    if (token.text === "{") depth++
    if (token.text === "}" && --depth === 0) return token.end
    before = token
    i = token.end
  }
}

const endsExpression = (token: Token | undefined): boolean =>
  token !== undefined &&
  (/^[)\]}'"`]/.test(token.text) || (/^[\p{ID_Start}$_\d#]/u.test(token.text) && !open.has(token.text)))

const next = (code: string, at: number, before: Token | undefined, nested = 0): Token | undefined => {
  const start = match(blank, code, at)
  if (start >= code.length) return undefined
  const newLine = code.slice(at, start).includes("\n")
  const token = (end: number) => (end < 0 ? undefined : { text: code.slice(start, end), start, end, newLine })
  const char = code[start]
  if (char === "`") return token(template(code, start, nested))
  for (const pattern of [word, quoted]) {
    const end = match(pattern, code, start)
    if (end > start) return token(end)
  }
  if (char === "'" || char === '"') return undefined
  if (char === "/" && !endsExpression(before)) {
    const end = match(regexp, code, start)
    return end > start ? token(end) : undefined
  }
  return token(start + 1)
}

const startsStatement = (token: Token, before: Token | undefined): boolean =>
  before === undefined || before.text === ";" || before.text === "}" || (token.newLine && endsExpression(before))

/** The cell, with its top-level declarations as `var`. */
export const redeclarable = (code: string): string => {
  let out = ""
  let copied = 0
  let depth = 0
  let before: Token | undefined
  // Set while a top-level class awaits the brace that ends its body.
  let inClass = false
  let at = 0
  const put = (start: number, end: number, text: string) => {
    out += code.slice(copied, start) + text
    copied = end
  }
  for (;;) {
    const token = next(code, at, before)
    if (token === undefined) break
    at = token.end
    if ("{[(".includes(token.text)) depth++
    else if ("}])".includes(token.text)) {
      depth--
      if (inClass && depth === 0 && token.text === "}") {
        put(token.end, token.end, ";")
        inClass = false
      }
    } else if (depth === 0 && startsStatement(token, before)) {
      const after = next(code, at, token)
      const named = after !== undefined && /^[\p{ID_Start}$_[{]/u.test(after.text)
      if (named && (token.text === "const" || token.text === "let")) put(token.start, token.end, "var")
      if (named && token.text === "class" && after.text !== "extends" && after.text !== "{") {
        put(token.start, token.end, `var ${after.text} = class`)
        inClass = true
      }
    }
    before = token
  }
  const clean = depth === 0 && !inClass && match(blank, code, at) >= code.length
  return clean ? out + code.slice(copied) : code
}
