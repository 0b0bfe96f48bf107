/** Work: jobs in queues that lose none, and requests through stages. */
export * as MemoryWorkStore from "./MemoryWorkStore.ts"
export * as Pipeline from "./Pipeline.ts"
export * as RedisWorkStore from "./RedisWorkStore.ts"
export * as SqliteWorkStore from "./SqliteWorkStore.ts"
export * as SqlWorkStore from "./SqlWorkStore.ts"
export * as WorkQueue from "./WorkQueue.ts"
export * as WorkQueueError from "./WorkQueueError.ts"
export * as WorkStore from "./WorkStore.ts"
