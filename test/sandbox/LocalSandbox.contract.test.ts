import { LocalSandbox } from "holdfast/sandbox"
import { contract } from "../contract/Sandbox.ts"

// TypeScript, and without the wall, in the soak: test/soak/contract.test.ts.
contract("LocalSandbox", LocalSandbox.layer({ maxSessions: 4 }), ["python", "javascript"])
