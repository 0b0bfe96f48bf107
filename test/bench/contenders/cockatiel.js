import { ExponentialBackoff, handleAll, retry, timeout, TimeoutStrategy, wrap } from "cockatiel";
import { ofCalls } from "../Contender.js";
export const contender = {
    name: "cockatiel",
    wrap: async () => {
        const policy = wrap(retry(handleAll, { maxAttempts: 2, backoff: new ExponentialBackoff() }), timeout(10_000, TimeoutStrategy.Cooperative));
        return ofCalls(() => policy.execute(() => undefined));
    }
};
