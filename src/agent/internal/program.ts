/** From a model's answer to a program that can run. */
import type { Language } from "../../sandbox/Sandbox.ts"

/** What is needed to build a program around an answer. */
export interface Frame {
  readonly language: Language
  readonly entryPoint: string
  readonly tests: string
  readonly starter?: string | undefined
}

/**
 * The code in an answer: the fenced block that defines the entry point, else the longest block, else the whole text. An
 * unclosed fence ends with the text. Leading blanks of lines are kept: in Python they carry meaning.
 */
export const codeOf = (answer: string, frame: Frame): string => {
  const blocks = fencedBlocks(answer)
  if (blocks.length === 0) return answer.replace(/^(?:[ \t]*\n)+/, "").trimEnd()
  const defining = blocks.find((block) => defines(block, frame))
  return defining ?? blocks.reduce((longest, block) => (block.length > longest.length ? block : longest))
}

/** Solution and tests as one program. Code without the entry point continues the starter; a whole one replaces it. */
export const programOf = (code: string, frame: Frame): string => `${solutionOf(code, frame)}\n\n${frame.tests}\n`

const solutionOf = (code: string, frame: Frame): string => {
  const { starter } = frame
  if (starter === undefined) return code
  if (!defines(code, frame)) return starter.endsWith("\n") ? starter + code : `${starter}\n${code}`
  // The imports and functions that stand before the entry point in the starter are still needed.
  const start = definition(frame).exec(starter)
  return start === null ? code : `${starter.slice(0, start.index)}\n${code}`
}

const defines = (code: string, frame: Frame): boolean => definition(frame).test(code)

const script = (name: string): RegExp =>
  new RegExp(
    `^(?:export\\s+)?(?:(?:async\\s+)?function\\s*\\*?|class|const|let|var)\\s+${name}(?![\\w$])|^${name}\\s*=`,
    "m"
  )

/** How a language begins a definition, at the start of a line. */
const definitions: Readonly<Record<Language, (name: string) => RegExp>> = {
  python: (name) => new RegExp(`^(?:(?:async\\s+)?def|class)\\s+${name}\\b|^${name}\\s*=`, "m"),
  javascript: script,
  typescript: script,
  bash: (name) => new RegExp(`^(?:function\\s+${name}\\b|${name}\\s*\\(\\s*\\))`, "m"),
  r: (name) => new RegExp(`^${name}\\s*(?:<-|=)`, "m"),
  java: (name) =>
    new RegExp(
      `^.*\\b(?:class|interface|enum|record) +${name}\\b|^ *(?:(?:public|protected|private|static|final) +)+[\\w<>, \\[\\]]+ ${name} *\\(`,
      "m"
    )
}

const definition = ({ language, entryPoint }: Frame): RegExp =>
  definitions[language](entryPoint.replace(/[^\w]/g, "\\$&"))

const fencedBlocks = (text: string): Array<string> => {
  const blocks: Array<string> = []
  let open: { readonly fence: string; readonly lines: Array<string> } | undefined
  for (const line of text.split(/\r?\n/)) {
    const fence = /^[ \t]*(`{3,}|~{3,})/.exec(line)?.[1]
    if (open === undefined) {
      if (fence !== undefined) open = { fence, lines: [] }
    } else if (fence !== undefined && fence.startsWith(open.fence) && line.trim() === fence) {
      blocks.push(open.lines.join("\n"))
      open = undefined
    } else {
      open.lines.push(line)
    }
  }
  if (open !== undefined) blocks.push(open.lines.join("\n"))
  return blocks.filter((block) => block.trim() !== "")
}
