/** The contract of every Sandbox, by the scripted one: a script can stand in for an engine. */
import { contract } from "../contract/Sandbox.ts"
import { scriptedSandbox } from "../contract/scriptedSandbox.ts"

contract("TestSandbox", scriptedSandbox, ["python"], { shell: true })
