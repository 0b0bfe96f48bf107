/** `holdfast mcp`, spoken to by the official client of the Model Context Protocol. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js"
import { CallToolResultSchema, type Progress } from "@modelcontextprotocol/sdk/types.js"
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const main = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url))

const transport = new StdioClientTransport({
  command: process.execPath,
  args: ["--conditions=holdfast-source", main, "mcp", "--timeout", "2s"],
  stderr: "pipe"
})
const client = new Client({ name: "official", version: "1" })

/** What the client cannot read as a message of the protocol. */
const faults: Array<Error> = []

beforeAll(async () => {
  // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the client is no EventTarget
  client.onerror = (error) => faults.push(error)
  await client.connect(transport)
})

afterAll(() => client.close())

const call = async (name: string, input: Record<string, unknown>, onprogress?: (progress: Progress) => void) => {
  const params = { name, arguments: input }
  const { content, isError } = await client.request(
    { method: "tools/call", params },
    CallToolResultSchema,
    onprogress && { onprogress }
  )
  return { text: content.map((part) => (part.type === "text" ? part.text : part.type)).join(), isError }
}

const below = (pid: number): ReadonlyArray<number> => {
  const table = execFileSync("ps", ["-eo", "pid=,ppid=,stat="], { encoding: "utf8" })
  const rows = table
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
  const children = rows.filter(([, parent, state = ""]) => Number(parent) === pid && !state.startsWith("Z"))
  return children.flatMap(([child]) => [Number(child), ...below(Number(child))])
}

describe("holdfast mcp and the official client", () => {
  it("agree on the newest protocol of both", () => {
    expect(client.getServerVersion()).toMatchObject({ name: "holdfast" })
    expect(client.getInstructions()).toMatch(/sandbox/)
    expect(client.getServerCapabilities()?.tools).toBeDefined()
  })

  it("list the tools, each with a schema and a description", async () => {
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name)).toEqual(["run_code", "read_file", "write_file", "list_files", "reset"])
    for (const { description, inputSchema } of tools) {
      expect(inputSchema.type).toBe("object")
      expect(description).not.toBe("")
    }
  })

  it("call each of them", async () => {
    expect(await call("run_code", { code: "print('hi')\n6 * 7" })).toEqual({
      text: "stdout:\nhi\n\nresult:\n42",
      isError: false
    })
    expect((await call("run_code", { code: "let x: number = 2; x", language: "typescript" })).text).toBe("result:\n2")
    expect((await call("write_file", { path: "a.txt", content: "hello" })).isError).toBe(false)
    expect((await call("read_file", { path: "a.txt" })).text).toBe("hello")
    expect((await call("list_files", {})).text).toContain("a.txt (5 bytes)")
    expect((await call("reset", {})).isError).toBe(false)
    expect((await call("list_files", {})).text).not.toContain("a.txt")
  })

  it("tell errors of tools as results, and of the protocol as errors", async () => {
    expect(await call("read_file", { path: "nowhere" })).toMatchObject({ isError: true })
    expect((await call("run_code", { code: "1 / 0" })).text).toContain("ZeroDivisionError")
    expect((await call("run_code", { code: "for (;;) {}", language: "javascript" })).text).toContain("2 seconds")
    // The newest protocol has arguments that do not fit told to the model, as a result.
    const misfit = await call("run_code", {}).catch(({ message }: Error) => ({ text: message, isError: true }))
    expect(misfit).toMatchObject({ isError: true, text: expect.stringContaining("code") })
    await expect(call("rm_rf", {})).rejects.toThrow(/rm_rf/)
  })

  it("tell of progress, and cancel what runs", async () => {
    const enough = new AbortController()
    const heard: Array<string | undefined> = []
    const endless = client.request(
      { method: "tools/call", params: { name: "run_code", arguments: { code: program, timeout_seconds: 60 } } },
      CallToolResultSchema,
      {
        signal: enough.signal,
        onprogress: ({ message }) => {
          heard.push(message)
          enough.abort("enough")
        }
      }
    )
    await expect(endless).rejects.toThrow(/enough/)
    expect(heard[0]).toBe("begun\n")
    const after = await call("run_code", { code: "2" })
    expect(after.text).toMatch(/^(?:Note: the call before was stopped|Error: the session was lost)/)
    expect((await call("run_code", { code: "2" })).text).toBe("result:\n2")
  })

  it("leave no process behind when the client closes", async () => {
    const pid = transport.pid ?? 0
    expect(below(pid).length).toBeGreaterThan(0)
    const guests = [pid, ...below(pid)]
    await client.close()
    // It kills a server that has not ended after four seconds, and does not wait for that.
    const left = () =>
      guests.filter((guest) => {
        try {
          return process.kill(guest, 0)
        } catch {
          return false
        }
      })
    await expect.poll(left, { timeout: 20_000 }).toEqual([])
    expect(faults).toEqual([])
  })
})

const program = 'print("begun", flush=True)\nwhile True: pass'
