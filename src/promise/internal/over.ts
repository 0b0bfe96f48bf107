/** Options over other options. */

/** What is said, over what was said before; `undefined` says nothing. */
export const over = <O extends object>(before: object, options: O | undefined): O => {
  const said = Object.entries(options ?? {}).filter(([, value]) => value !== undefined)
  return Object.assign({}, options, before, Object.fromEntries(said))
}
