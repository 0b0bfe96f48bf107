export interface Table {
  readonly title: string
  readonly head: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
}

/** What a suite has seen. */
export interface Report {
  readonly tables: ReadonlyArray<Table>
  /** By the ids of goals. */
  readonly measured: Readonly<Record<string, number>>
}

/** Three digits are what a measurement like this can tell. */
export const digits = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
