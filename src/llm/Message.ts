/** What is said to and by a model. */

/** Who speaks. */
export type Role = "system" | "user" | "assistant"

/** One turn of a conversation. */
export interface Message {
  readonly role: Role
  readonly content: string
}

/** Standing instructions. */
export const system = (content: string): Message => ({ role: "system", content })

/** What the person or program says. */
export const user = (content: string): Message => ({ role: "user", content })

/** What the model said. */
export const assistant = (content: string): Message => ({ role: "assistant", content })
