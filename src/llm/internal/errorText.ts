/** What an error says of itself, whatever it is. */
export const messageOf = (error: unknown): string => {
  if (typeof error === "string") return error
  if (error === undefined || error === null) return "it says no more"
  if (typeof error !== "object") return String(error)
  // A tagged error without a message of its own has an empty one.
  if ("message" in error && typeof error.message === "string" && error.message !== "") return error.message
  return fieldsOf(error)
}

// A few sentences: what is longer is data, not a reason.
const maxCharacters = 500

/** An error without words: its tag and its fields, as JSON has them. */
const fieldsOf = (error: object): string => {
  const { _tag, ...fields } = { _tag: error instanceof Error ? error.name : undefined, ...error }
  const tag = typeof _tag === "string" ? [_tag] : []
  const hasFields = Object.keys(fields).length > 0
  const said = [...tag, ...(hasFields ? [jsonOf(Array.isArray(error) ? error : fields)] : [])].join(" ")
  return said.length > maxCharacters ? `${said.slice(0, maxCharacters).toWellFormed()}…` : said || String(error)
}

/** What is no JSON, such as a `bigint`, says nothing here. */
const jsonOf = (value: unknown): string => {
  try {
    return JSON.stringify(value)
  } catch {
    return ""
  }
}
