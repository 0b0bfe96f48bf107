import PQueue from "p-queue";
import { ofTasks } from "../Contender.js";
export const contender = {
    name: "p-queue",
    limit: async () => {
        const queue = new PQueue({ concurrency: 64 });
        return ofTasks((task) => queue.add(task));
    }
};
