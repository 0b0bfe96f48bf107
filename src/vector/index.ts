/** Vectors: stored by their ids, found by how near they are. */
export * as ChromaVectorStore from "./ChromaVectorStore.ts"
export * as MemoryVectorStore from "./MemoryVectorStore.ts"
export * as MetadataFilter from "./MetadataFilter.ts"
export * as PostgresVectorStore from "./PostgresVectorStore.ts"
export * as QdrantVectorStore from "./QdrantVectorStore.ts"
export * as SqliteVectorStore from "./SqliteVectorStore.ts"
export * as VectorError from "./VectorError.ts"
export * as VectorStore from "./VectorStore.ts"
