import pLimit from "p-limit";
import { ofTasks } from "../Contender.js";
export const contender = {
    name: "p-limit",
    limit: async () => ofTasks(pLimit(64))
};
