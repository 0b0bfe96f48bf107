import { Effect, ManagedRuntime, Stream } from "effect";
/** A session of effects, run as an Effect program runs them: one fiber that forks its calls. */
export const ofEffects = (call, layer) => {
    const runtime = ManagedRuntime.make(layer);
    return {
        close: () => runtime.dispose(),
        run: async (count, concurrency) => {
            const all = Effect.forEach(Array.from({ length: count }), () => call, { concurrency, discard: true });
            await runtime.runPromise(all);
            return { units: count, firstMillis: [] };
        }
    };
};
/** The same of streams; an element is a text when `isText` says so. */
export const ofEffectStreams = (stream, isText, layer) => {
    let texts = 0;
    let firstMillis = [];
    const read = Effect.suspend(() => {
        const start = performance.now();
        let isFirst = true;
        return Stream.runForEachArray(stream, (elements) => Effect.sync(() => {
            for (const element of elements) {
                if (!isText(element))
                    continue;
                texts += 1;
                if (isFirst)
                    firstMillis.push(performance.now() - start);
                isFirst = false;
            }
        }));
    });
    const session = ofEffects(read, layer);
    return {
        close: session.close,
        run: async (count, concurrency) => {
            texts = 0;
            firstMillis = [];
            await session.run(count, concurrency);
            return { units: texts, firstMillis };
        }
    };
};
