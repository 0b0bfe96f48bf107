/** Distances and scores. */
import type { Metric, Vector } from "../VectorStore.ts"

/** The score of a distance: more is nearer. */
export const scoreOf = (metric: Metric, distance: number): number => {
  if (metric === "cosine") return 1 - distance
  return metric === "dot" ? -distance : 1 / (1 + distance)
}

/** Sums of 32-bit numbers err a little: no cosine is beyond 1. */
export const cosineDistance = (distance: number): number => Math.min(2, Math.max(0, distance))

/** −0 is 0. */
export const dotDistance = (product: number): number => (product === 0 ? 0 : -product)

export const lengthOf = (vector: Vector): number => {
  let squares = 0
  for (let at = 0; at < vector.length; at++) squares += (vector[at] ?? 0) ** 2
  return Math.sqrt(squares)
}
