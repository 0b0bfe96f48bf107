/** Half a tool call must never be run: a stream that ends inside the arguments delivers none, through both doors. */
import type { Llm, LlmError } from "holdfast/llm"
import { describe, expect, it } from "vitest"
import { openDoors, row, useServer } from "./rows.ts"

useServer()

const isLlmError = (u: unknown): u is LlmError.LlmError => u instanceof Error && "_tag" in u && u._tag === "LlmError"

describe.each(openDoors)("through the $name", ({ open }) => {
  /** What a stream told until its end, or until it failed. */
  const told = async (url: string) => {
    const client = await open(url, { retry: { base: 0 } })
    const events: Array<Llm.StreamEvent> = []
    try {
      for await (const event of client.stream()) events.push(event)
      return { events, error: undefined }
    } catch (error) {
      if (!isLlmError(error)) throw error
      return { events, error }
    } finally {
      await client.close()
    }
  }

  it("tool-cut: a stream that breaks inside a call's arguments delivers no call", async () => {
    const { stats, url } = row("tool-cut")
    const { error, events } = await told(url)
    expect(events).toEqual([{ type: "text", text: "Let me look." }])
    expect(error?.reason).toMatchObject({ _tag: "StreamCut", partial: "Let me look." })
    expect((await stats()).requests).toBe(1)
  })

  it("tool-cut: a clean end inside a call's arguments is no end", async () => {
    const { stats, url } = row("tool-cut-end")
    const { error, events } = await told(url)
    expect(events).toEqual([{ type: "text", text: "Let me look." }])
    expect(error?.reason).toMatchObject({ _tag: "StreamTruncated", partial: "Let me look." })
    expect((await stats()).requests).toBe(1)
  })

  it("tool-cut: a break before anything was delivered is retried, and the call is told once", async () => {
    const { stats, url } = row("tool-cut-first")
    const { error, events } = await told(url)
    expect(error).toBeUndefined()
    expect(events.map(({ type }) => type)).toEqual(["toolCall", "finish"])
    expect(events[0]).toMatchObject({ call: { id: "call_1", name: "delete_file", input: { path: "/data/Paris" } } })
    expect((await stats()).requests).toBe(2)
  })
})
