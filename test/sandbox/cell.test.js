import { assert, describe, it } from "@effect/vitest"
import { redeclarable } from "../../src/sandbox/internal/cell.js"
describe("cell", () => {
  it.each([
    ["let x = 1", "var x = 1"],
    ["const { a, b: [c] } = f()", "var { a, b: [c] } = f()"],
    ["class A { m() { let x = 1 } }\n[1]", "var A = class A { m() { let x = 1 } };\n[1]"],
    ["class B extends A {}", "var B = class B extends A {};"],
    ["f()\nlet y = 2", "f()\nvar y = 2"],
    ["if (x) { const y = 1 }\nconst z = 2", "if (x) { const y = 1 }\nvar z = 2"],
    ["const r = /[/}]let x/.test(s) / 2\nlet q", "var r = /[/}]let x/.test(s) / 2\nvar q"],
    ["let t = `let ${`a${{ b: 1 }.b}`} x`; let u", "var t = `let ${`a${{ b: 1 }.b}`} x`; var u"],
    ["// let a\n/* let b */ let c = 'let d'", "// let a\n/* let b */ var c = 'let d'"]
  ])("makes top-level declarations repeatable: %s", (code, expected) => {
    assert.strictEqual(redeclarable(code), expected)
  })
  it.each([
    "for (let i = 0; i < 3; i++) f(i)",
    "function f() { let x }",
    "x = class { }",
    "x.let = 1",
    "o = { const: 1, class: 2 }",
    "let x = {",
    "let s = 'unfinished",
    "let t = `${",
    "const r = /unfinished"
  ])("leaves alone what is no such declaration, or what it cannot follow: %s", (code) => {
    assert.strictEqual(redeclarable(code), code)
  })
})
