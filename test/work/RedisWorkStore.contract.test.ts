/** Against a real redis-server. */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Layer } from "effect"
import { RedisWorkStore } from "holdfast/work"
import { workQueueContract } from "../contract/WorkQueue.ts"
import { isSkipped, notice, useRedis } from "../policy/redis.ts"

const { path } = useRedis()

const layer = Layer.provide(
  RedisWorkStore.layer({ pollInterval: "50 millis" }),
  NodeRedis.layer({ socket: { path, tls: false } })
)

workQueueContract(`RedisWorkStore${notice}`, layer, isSkipped)
