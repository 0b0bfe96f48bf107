/**
 * What is used of Effect's breaker, loaded with the first circuit. By name: of a module that is itself loaded late a
 * bundler keeps everything, here stores on Redis and their Config.
 */
export {
  CircuitBreakerError,
  CircuitBreakerStore,
  CircuitBreakerStoreError,
  consecutive,
  layerStoreMemory,
  make,
  rate
} from "effect/persistence/CircuitBreaker"
