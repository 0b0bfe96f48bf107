/**
 * Code fences of documents as modules: a vitest plugin that loads `README.md.L12.ts` as the fence that opens on line 12
 * of README.md, `expr // => value` turned into assertions. Lines keep their numbers, so a failure points into the document.
 */
import { readFileSync } from "node:fs"
import type { Plugin } from "vitest/config"
import type { parseAst } from "vitest/node"

/** One fence of TypeScript. */
export interface Fence {
  /** The line of its opening, from 1. */
  readonly line: number
  /** What follows the language, e.g. `skip: needs a key`. */
  readonly info: string
  /** The code, every line of the document before it left empty. */
  readonly code: string
}

/** The TypeScript fences of a document, or of the doc comments of a source file. */
export const fencesOf = (file: string): ReadonlyArray<Fence> => {
  const prefix = file.endsWith(".ts") ? /^\s*\* ?/ : /^/
  const lines = readFileSync(file, "utf8").split("\n")
  const fences: Array<Fence> = []
  let open: { readonly line: number; readonly info: string; readonly language: string } | undefined
  lines.forEach((line, index) => {
    if (file.endsWith(".ts") && !prefix.test(line)) return
    const mark = /^\s*```(\w*)\s*(.*)$/.exec(line.replace(prefix, ""))
    if (mark === null) return
    if (open === undefined) open = { line: index + 1, info: mark[2] ?? "", language: mark[1] ?? "" }
    else {
      const body = lines.slice(open.line, index).map((text) => text.replace(prefix, ""))
      const code = [...Array.from({ length: open.line }, () => ""), ...body].join("\n")
      if (/^(ts|typescript)$/.test(open.language)) fences.push({ line: open.line, info: open.info, code })
      open = undefined
    }
  })
  return fences
}

type Statement = ReturnType<typeof parseAst>["body"][number]

/** Turns each statement followed by `// => value` into an assertion that what it gave (or printed, or named) equals value. */
export const assertions = (code: string, statements: ReadonlyArray<Statement>): string => {
  let result = code
  for (const statement of statements.toReversed()) {
    const arrow = /^;?[ \t]*\/\/ => (.+)/.exec(code.slice(statement.end))
    const claim = arrow?.[1]?.trim()
    if (claim === undefined) continue
    const text = (node: { readonly start: number; readonly end: number }): string => code.slice(node.start, node.end)
    const declared = statement.type === "VariableDeclaration" ? statement.declarations[0]?.id : undefined
    const expression = statement.type === "ExpressionStatement" ? statement.expression : undefined
    const printed =
      expression?.type === "CallExpression" && text(expression.callee) === "console.log"
        ? expression.arguments[0]
        : undefined
    const value = printed ?? expression
    const subject = declared?.type === "Identifier" ? declared.name : value && text(value)
    const before = declared === undefined ? "" : text(statement)
    const assertion =
      subject === undefined
        ? 'throw new Error("`// =>` follows no expression")'
        : `${before};__expect(${subject}).toEqual(${claim})`
    result = result.slice(0, statement.start) + assertion + result.slice(statement.end)
  }
  // On the first line, which is never part of a fence's body.
  return `import { expect as __expect } from "vitest";${result}`
}

const fenceId = /^(.+)\.L(\d+)\.ts$/

/** Resolves and loads fences. */
export const fences = (): Plugin => ({
  name: "fences",
  enforce: "pre",
  resolveId: (id) => (fenceId.test(id) ? id : undefined),
  load: async (id) => {
    const [, file, line] = fenceId.exec(id) ?? []
    if (file === undefined) return undefined
    const fence = fencesOf(file).find((fence) => fence.line === Number(line))
    if (fence === undefined) throw new Error(`${file} has no fence on line ${line}`)
    const { parseAst } = await import("vitest/node")
    return assertions(fence.code, parseAst(fence.code, { lang: "ts" }).body)
  }
})
