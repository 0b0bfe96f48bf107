/** How much of a soak is run: all of it by `npm run soak`, a tenth by `npm test`. */
const scale = Number(process.env.SOAK_SCALE ?? "1")

export const atScale = (whole: number): number => Math.ceil(whole * scale)
