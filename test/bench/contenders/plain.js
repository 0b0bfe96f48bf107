/** No library: an async function, with a timer that is cleared. */
import { ofCalls } from "../Contender.js";
export const contender = {
    name: "no library",
    wrap: async () => ofCalls(async () => {
        const timer = setTimeout(() => { }, 10_000);
        await undefined;
        clearTimeout(timer);
    })
};
