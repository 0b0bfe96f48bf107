/** Test doubles and faults: scripted layers that remember, a replay server, and what goes wrong by seed. */
export * as Cassette from "./Cassette.ts"
export * as Fault from "./Fault.ts"
export * as ReplayServer from "./ReplayServer.ts"
export * as TestEmbedder from "./TestEmbedder.ts"
export * as TestHttpClient from "./TestHttpClient.ts"
export * as TestLlm from "./TestLlm.ts"
export * as TestSandbox from "./TestSandbox.ts"
export * as VirtualTime from "./VirtualTime.ts"
