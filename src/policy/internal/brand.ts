/** Marks that tell a class in another copy of the package, where `instanceof` does not. */

/** Whether `u` has the mark, its own or its class's. */
export const isBranded = (u: unknown, brand: symbol): u is object => typeof u === "object" && u !== null && brand in u
