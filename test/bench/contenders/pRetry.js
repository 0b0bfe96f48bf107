import pRetry from "p-retry";
import { ofCalls } from "../Contender.js";
export const contender = {
    name: "p-retry",
    wrap: async () => ofCalls(() => pRetry(() => undefined, { retries: 2 }))
};
