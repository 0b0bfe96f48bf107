/** What a server says, for a message of one line: no line ends, no terminal escapes, no page of HTML. */

/** Providers explain themselves in a sentence or two; their longest known messages have some 300 characters. */
const maxCharacters = 500

export const oneLine = (text: string): string => {
  // Cut before the work: an error's body may have 64 kB.
  const line = text
    .slice(0, maxCharacters * 4)
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, " ")
    .trim()
  return line.length > maxCharacters ? `${line.slice(0, maxCharacters).trimEnd()}…` : line
}
