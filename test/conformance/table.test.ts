/** The rows of FAILURES.md and the tests here are the same: no row is forgotten, and no test is of a row that is gone. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Conformance } from "holdfast/testing"
import { expect, it } from "vitest"

const file = fileURLToPath(new URL("../../../shared/FAILURES.md", import.meta.url))
const isHere = existsSync(file)
if (!isHere) {
  // A user's clone does not have the table; the project's own CI does.
  if (process.env.CI !== undefined) throw new Error(`${file} is missing`)
  process.stderr.write("SKIPPED: FAILURES.md is not beside this checkout, so nobody compares its rows with the tests\n")
}

/** Rows of what is not built yet, and why. */
const later: Readonly<Record<string, string>> = {}

/** The ids in the first column. */
const rowsOf = (table: string): ReadonlyArray<string> =>
  [...table.matchAll(/^\| ([a-z][a-z0-9-]*) \| /gm)].flatMap(([, id]) => (id === undefined || id === "id" ? [] : [id]))

/** The ids with which titles begin: `"stall-body: …"`, `"late-end through …"`, or the id alone. */
const titlesOf = (source: string): ReadonlyArray<string> =>
  [...source.matchAll(/^ *(?:it|describe)\b.*?\("([a-z0-9]+(?:-[a-z0-9]+)*)(?=: | through |", )/gm)].flatMap(
    ([, id]) => id ?? []
  )

it.skipIf(!isHere)("tests every row of the table, and nothing else under such a name", () => {
  const rows = rowsOf(readFileSync(file, "utf8"))
  expect(rows.length).toBeGreaterThan(30)
  const here = import.meta.dirname
  const tested = new Set(
    readdirSync(here)
      .filter((name) => name.endsWith(".test.ts"))
      .flatMap((name) => titlesOf(readFileSync(`${here}/${name}`, "utf8")))
  )
  expect([...tested].toSorted()).toEqual(rows.filter((id) => !(id in later)).toSorted())
})

it.skipIf(!isHere)("gives every row of the table to users, to run against their own code", () => {
  const ids = new Set(Conformance.rows.map(({ id }) => id))
  expect([...ids].toSorted()).toEqual(rowsOf(readFileSync(file, "utf8")).toSorted())
})
