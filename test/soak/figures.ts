/** Park and Miller's generator: the same figures from the same seed, on every machine. */
export const figures = (seed: number): ((below: number) => number) => {
  let state = (seed * 7919 + 1) % 2147483647
  return (below) => {
    state = (state * 48271) % 2147483647
    return state % below
  }
}
