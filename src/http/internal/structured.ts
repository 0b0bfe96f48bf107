/** As much of structured fields (RFC 9651) as rate-limit headers use: a list of items with parameters. */
export interface Item {
  /** Without quotes. */
  readonly name: string
  readonly parameters: Readonly<Record<string, string | undefined>>
}

// A provider's header is a line or two; what is longer is not read.
const maxChars = 1024

/** `"default";q=100;w=60, 50` as items. Quoted names may hold commas and semicolons. */
export const parse = (text: string | undefined): ReadonlyArray<Item> => {
  if (text === undefined || text.length > maxChars) return []
  return split(text, ",").flatMap((part) => {
    const [name, ...rest] = split(part, ";")
    if (name === undefined || name === "") return []
    const parameters: Record<string, string> = {}
    for (const one of rest) {
      const equals = one.indexOf("=")
      if (equals > 0) parameters[one.slice(0, equals).trim()] = unquote(one.slice(equals + 1).trim())
    }
    return [{ name: unquote(name), parameters }]
  })
}

const unquote = (text: string): string => (/^".*"$/.test(text) ? text.slice(1, -1) : text)

const split = (text: string, by: "," | ";"): ReadonlyArray<string> => {
  const parts: Array<string> = []
  let start = 0
  let isQuoted = false
  for (let i = 0; i <= text.length; i++) {
    if (text[i] === '"') isQuoted = !isQuoted
    if (i < text.length && (isQuoted || text[i] !== by)) continue
    parts.push(text.slice(start, i).trim())
    start = i + 1
  }
  return parts
}
