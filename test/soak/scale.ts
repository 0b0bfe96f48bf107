/** How much of a soak is run: all of it by `npm run soak`, a tenth by `npm test`. */
const scale = Number(process.env.SOAK_SCALE ?? "1")

/** Whether this is the soak. */
export const isWhole = scale >= 1

export const atScale = (whole: number): number => Math.ceil(whole * scale)

/** Half of a list in `npm test`, the other half with `isOther`: for what runs twice, in two settings. */
export const halves = <A>(all: ReadonlyArray<A>, isOther: boolean): ReadonlyArray<A> =>
  isWhole ? all : all.filter((_, index) => (index % 2 === 1) === isOther)

/** Every tenth of a list at a tenth of the scale, the first one always. */
export const sample = <A>(all: ReadonlyArray<A>): ReadonlyArray<A> => {
  const step = Math.max(1, Math.round(1 / scale))
  return all.filter((_, index) => index % step === 0)
}
