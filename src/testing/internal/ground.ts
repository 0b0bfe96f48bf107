/** Under this name `createClient` takes what the layers of a client stand on: `VirtualTime` puts its clock there. */
export const ground: unique symbol = Symbol.for("holdfast/promise/ground")
