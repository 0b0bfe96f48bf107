/** A Standard Schema made by hand, as those of schema libraries are: it validates, and it tells its JSON Schema. */
import type { ObjectSource } from "holdfast/promise"

type Source<A> = Extract<ObjectSource<A>, { readonly "~standard": unknown }>

/** `read` gives the value, or says what is wrong with it. */
export const standard = <A>(
  jsonSchema: Record<string, unknown>,
  read: (value: Readonly<Record<string, unknown>>) => { readonly value: A } | string
): Source<A> => ({
  "~standard": {
    version: 1,
    vendor: "by hand",
    validate: (value) => {
      const found = read(typeof value === "object" && value !== null ? { ...value } : {})
      return typeof found === "string" ? { issues: [{ message: found }] } : found
    },
    jsonSchema: { input: () => jsonSchema, output: () => jsonSchema }
  }
})

export interface City {
  readonly city: string
  readonly population: number
}

export const cityJson = {
  type: "object",
  properties: { city: { type: "string" }, population: { type: "integer" } },
  required: ["city", "population"],
  additionalProperties: false
}

export const citySchema: Source<City> = standard(cityJson, ({ city, population }) =>
  typeof city === "string" && typeof population === "number"
    ? { value: { city, population } }
    : `population: expected a number, got ${typeof population}`
)
