/** The contract of every Sandbox over HTTP, a scripted sandbox behind it; the embedded one is in `test/soak/rest.test.ts`. */
import { contract } from "../contract/Sandbox.ts"
import { overRest } from "../contract/restSandbox.ts"
import { scriptedSandbox } from "../contract/scriptedSandbox.ts"

contract("RestSandbox", overRest(scriptedSandbox), ["python"], { shell: true })
