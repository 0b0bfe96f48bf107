/** HTML in which every text is escaped, but what is HTML already. */

/** Markup that is safe to stand in a page. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

type Part = Html | string | number | undefined | ReadonlyArray<Html>

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "`": "&#96;"
}

const escape = (text: string): string => text.replace(/[&<>"'`]/g, (letter) => entities[letter] ?? "")

const print = (part: Part): string => {
  if (part === undefined) return ""
  if (part instanceof Html) return part.text
  return typeof part === "object" ? part.map(({ text }) => text).join("") : escape(String(part))
}

/** A piece of a page, without the indentation of its source. Attributes stand in double quotes. */
export const html = (strings: TemplateStringsArray, ...parts: ReadonlyArray<Part>): Html =>
  new Html(strings.map((text, index) => text.replace(/\s*\n\s*/g, "\n") + print(parts[index])).join(""))

// Of JSON these letters alone could end the script element, or a line in an old parser.
const risky = /[<>&\u2028\u2029]/g

/** An element with data for a script: no text in it can end the element. */
export const json = (id: string, value: unknown): Html => {
  const text = JSON.stringify(value).replace(
    risky,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`
  )
  return new Html(`<script type="application/json" id="${id}">${text}</script>`)
}
