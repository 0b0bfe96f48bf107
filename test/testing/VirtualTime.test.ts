import { Effect, Layer, ManagedRuntime } from "effect"
import { Llm, OpenAiLlm } from "holdfast/llm"
import { Policy } from "holdfast/policy"
import { TestHttpClient, TestLlm, VirtualTime } from "holdfast/testing"
import { setTimeout } from "node:timers/promises"
import { describe, expect, it } from "vitest"

const hour = 3_600_000

/** Promises of a model under this time, as a client of `fromLayer` has them. */
const clientOf = <E>(time: VirtualTime.VirtualTime, layer: Layer.Layer<Llm.Llm, E>) => {
  const runtime = ManagedRuntime.make(time.provide(layer))
  return {
    ask: async (question: string) => (await runtime.runPromise(Llm.generateText(question))).text,
    [Symbol.asyncDispose]: () => runtime.dispose()
  }
}

const busy = () => new Response("{}", { status: 503, headers: { "retry-after": "300" } })
const fine = JSON.stringify({ choices: [{ message: { role: "assistant", content: "fine" }, finish_reason: "stop" }] })

/** A model whose server asks for five minutes of patience, twice. */
const patient = () => {
  const { layer, requests } = TestHttpClient.make([busy(), busy(), fine])
  const policy = Policy.make({ retry: { maxRetryAfter: "10 minutes" } })
  return { model: OpenAiLlm.layer({ model: "m", policy }).pipe(Layer.provide(layer)), requests }
}

describe("VirtualTime.run", () => {
  it("lets waits of minutes pass at once, and no more time than they take", async () => {
    const time = VirtualTime.make()
    await using client = clientOf(time, patient().model)
    const began = performance.now()
    expect(await time.run(() => client.ask("Are you there?"))).toBe("fine")
    expect(time.elapsed()).toBe(10 * 60_000)
    // Ten minutes of waits; a real one would be no test.
    expect(performance.now() - began).toBeLessThan(10_000)
  })

  it("gives a rejection as it is, and what is no promise too", async () => {
    const time = VirtualTime.make()
    const error = new Error("the code under test")
    await expect(time.run(() => Promise.reject(error))).rejects.toBe(error)
    await expect(
      time.run(() => {
        throw error
      })
    ).rejects.toBe(error)
    expect(await time.run(() => 42)).toBe(42)
    expect(time.elapsed()).toBe(0)
  })

  it("moves from timer to timer in their order, several runs at once", async () => {
    const time = VirtualTime.make()
    const seen: Array<string> = []
    const after = async (minutes: number): Promise<void> => {
      await time.sleep(`${minutes} minutes`)
      seen.push(`${minutes} at ${time.elapsed() / 60_000}`)
    }
    await Promise.all([time.run(() => Promise.all([after(3), after(1)])), time.run(() => after(2))])
    expect(seen).toEqual(["1 at 1", "2 at 2", "3 at 3"])
  })

  it("waits in real time for what sets no timer", async () => {
    const time = VirtualTime.make()
    expect(await time.run(() => setTimeout(5, "real"))).toBe("real")
    expect(time.elapsed()).toBe(0)
  })

  it("rejects what never ends once the limit of virtual time is used up", async () => {
    const time = VirtualTime.make({ limit: "3 hours" })
    let tries = 0
    const forEver = async (): Promise<never> => {
      for (;;) {
        tries++
        await time.sleep("1 hour")
      }
    }
    const error = await time.run(forEver).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(VirtualTime.OutOfTime)
    expect(error).toMatchObject({ code: "OutOfTime", limitMillis: 3 * hour })
    expect(tries).toBe(4)
  })
})

describe("VirtualTime.advance", () => {
  it("moves as far as it is told, and lets what wakes run to its next timer", async () => {
    const time = VirtualTime.make()
    const { model, requests } = patient()
    await using client = clientOf(time, model)
    const answer = client.ask("Are you there?")
    await time.advance("299 seconds")
    expect(requests).toHaveLength(1)
    await time.advance("1 second")
    expect(requests).toHaveLength(2)
    await time.advance("1h")
    expect(await answer).toBe("fine")
    expect(time.elapsed()).toBe(hour + 300_000)
  })

  it("waits for a layer that is still being made, whose timers begin later", async () => {
    const time = VirtualTime.make()
    const slow = Layer.unwrap(
      Effect.as(
        Effect.promise(() => setTimeout(30)),
        TestLlm.layer(async () => {
          await time.sleep("5 minutes")
          return "late"
        })
      )
    )
    await using client = clientOf(time, slow)
    const answer = client.ask("?")
    await time.advance("5 minutes")
    expect(await answer).toBe("late")
    expect(time.elapsed()).toBe(300_000)
  })

  it("refuses what is no time, or never ends", async () => {
    const time = VirtualTime.make()
    await expect(time.advance("Infinity")).rejects.toThrow("give a time that ends")
    await expect(time.advance(-1)).rejects.toThrow(TypeError)
    expect(() => VirtualTime.make({ patience: -1 })).toThrow("patience")
  })
})

describe("VirtualTime.hold", () => {
  it("keeps time still while real work is under way", async () => {
    const time = VirtualTime.make()
    const told = await time.run(() =>
      Promise.race([time.hold(setTimeout(30, "the work")), time.sleep("1 hour").then(() => "its timeout")])
    )
    expect(told).toBe("the work")
    expect(time.elapsed()).toBe(0)
  })

  it("lets time go on when the work fails", async () => {
    const time = VirtualTime.make()
    await expect(time.hold(Promise.reject(new Error("no")))).rejects.toThrow("no")
    await time.run(() => time.sleep("1 hour"))
    expect(time.elapsed()).toBe(hour)
  })
})

describe("VirtualTime.make", () => {
  it("begins at the machine's time, or where it is told", async () => {
    const at = Date.parse("2030-01-01T00:00:00Z")
    const time = VirtualTime.make({ startMillis: at })
    await time.advance("90s")
    expect(time.now()).toBe(at + 90_000)
    expect(Math.abs(VirtualTime.make().now() - Date.now())).toBeLessThan(60_000)
  })

  it("makes times that do not know each other, and leaves the machine's alone", async () => {
    const [one, other] = [VirtualTime.make(), VirtualTime.make()]
    const before = Date.now()
    await one.advance("24 hours")
    expect(other.elapsed()).toBe(0)
    expect(Date.now() - before).toBeLessThan(hour)
  })
})
