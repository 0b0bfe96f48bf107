import { LocalSandbox } from "holdfast/sandbox"
import { contract } from "../contract/Sandbox.ts"

// Without the wall in the soak: test/soak/contract.test.ts.
contract("LocalSandbox", LocalSandbox.layer({ maxSessions: 4 }), ["python", "javascript", "typescript"])
