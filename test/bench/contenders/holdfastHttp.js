/** A program written for Effect's HttpClient, on our layers: the transport and the policies dropped in. */
import { Effect, Layer } from "effect";
import { HttpClient, HttpClientRequest } from "effect/http";
import { ResilientHttpClient } from "holdfast/http";
import { chatBody } from "../Contender.js";
import { ofEffects } from "../ofEffects.js";
import { http, policy } from "./holdfast.js";
export const contender = {
    name: "holdfast as HttpClient",
    unary: async (url) => {
        const call = Effect.gen(function* () {
            const request = HttpClientRequest.post(`${url}/chat/completions`, { headers: { "idempotency-key": "1" } });
            const client = yield* HttpClient.HttpClient;
            const response = yield* client.execute(HttpClientRequest.bodyText(request, chatBody(false), "application/json"));
            yield* response.json;
        });
        return ofEffects(call, Layer.provide(ResilientHttpClient.layer(policy), http));
    }
};
