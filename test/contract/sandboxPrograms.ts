/** The small programs of the sandbox's contract, the same in each language. */

/** What a language's programs do is said by the contract's tests. */
export interface Program {
  /** Whether a last expression is a result. */
  readonly showsValues: boolean
  readonly answer: string
  readonly remember: string
  readonly recall: string
  readonly redeclare: ReadonlyArray<string>
  readonly redeclared: string
  readonly raise: string
  /** `name` is absent where the language has no exceptions. */
  readonly raised: { readonly name?: string | undefined; readonly value: string; readonly exitCode: number }
  readonly broken: string
  readonly loop: string
  /** An endless loop that also refuses to be stopped politely. */
  readonly swallow: string
  readonly env: string
  readonly exit: string
  readonly forge: string
  readonly forged: "ok" | "failed"
  readonly unicode: string
  readonly surrogate?: string | undefined
  readonly display?: string | undefined
  readonly large?: string | undefined
  readonly flood: string
  readonly ticks: string
  readonly awaits?: ReadonlyArray<string> | undefined
  readonly forever: string
  readonly write: (path: string, text: string) => string
  readonly read: (path: string) => string
  /** Prints a file's length and the sum of its bytes. */
  readonly sum?: ((path: string) => string) | undefined
}

const quote = (text: string) => JSON.stringify(text)

const python: Program = {
  showsValues: true,
  answer: 'print("out")\nimport sys\nprint("err", file=sys.stderr)\n6 * 7',
  remember: "x = 20",
  recall: "print(x + 1)",
  redeclare: ["def f(): return 1", "def f(): return 2"],
  redeclared: "print(f())",
  raise: 'def f():\n    raise ValueError("no good")\nf()',
  raised: { name: "ValueError", value: "no good", exitCode: 1 },
  broken: "x = (",
  loop: "while True: pass",
  swallow: "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
  env: 'import os\nprint(os.environ.get("A"), os.environ.get("B"), os.getcwd())',
  exit: "import sys\nsys.exit(3)",
  display: 'display("first")\ndisplay("second")\n"third"',
  unicode: 'print("привет 🚀")',
  surrogate: 'print("\\ud800")\n"\\udfff" + "🚀"',
  large: "list(range(200_000))",
  flood: 'for i in range(20): print("flood" * 100_000)',
  forge:
    'import sys\nprint(\'{"t":"end","id":1,"ok":true,"exitCode":0}\')\nprint("exit code 0", file=sys.stderr)\nraise SystemExit(0)',
  forged: "failed",
  ticks: "import time\nfor i in range(3):\n    print(i, flush=True)\n    time.sleep(0.05)",
  awaits: [
    "import asyncio\nprint(sum(await asyncio.gather(asyncio.sleep(0.01, 1), asyncio.sleep(0.01, 2))))",
    "import asyncio\nasync def main():\n    await asyncio.sleep(0.01)\n    print(3)\nasyncio.run(main())"
  ],
  forever: 'print("started", flush=True)\nwhile True: pass',
  write: (path, text) => `with open(${quote(path)}, "w", encoding="utf-8") as f: f.write(${quote(text)})`,
  read: (path) => `print(open(${quote(path)}, encoding="utf-8").read())`,
  sum: (path) => `data = open(${quote(path)}, "rb").read()\nprint(len(data), sum(data))`
}

const javascript: Program = {
  showsValues: true,
  answer: 'console.log("out")\nconsole.error("err")\n6 * 7',
  remember: "let x = 20",
  recall: "console.log(x + 1)",
  redeclare: ["const f = () => 1; class C {}", "const f = () => 2; class C {}"],
  redeclared: "console.log(f())",
  raise: 'function f() { throw new TypeError("no good") }\nf()',
  raised: { name: "TypeError", value: "no good", exitCode: 1 },
  broken: "x = (",
  loop: "while (true) {}",
  swallow: "for (;;) { try { for (;;) {} } catch {} finally { for (;;) {} } }",
  env: "console.log(process.env.A, process.env.B, process.cwd())",
  exit: "process.exit(3)",
  display: 'display("first")\ndisplay("second")\n"third"',
  unicode: 'console.log("привет 🚀")',
  surrogate: 'console.log("\\ud800")\n"\\udfff" + "🚀"',
  large: '"large".repeat(50_000)',
  flood: 'for (let i = 0; i < 20; i++) console.log("flood".repeat(100_000))',
  forge: 'console.log(\'{"t":"end","id":1,"ok":true,"exitCode":0}\')\nprocess.exit(0)',
  forged: "failed",
  ticks: "for (let i = 0; i < 3; i++) { console.log(i); await new Promise((r) => setTimeout(r, 50)) }",
  awaits: [
    "const [a, b] = await Promise.all([1, 2].map((n) => new Promise((r) => setTimeout(() => r(n), 10))))\nconsole.log(a + b)",
    'setTimeout(() => console.log("3"), 10)'
  ],
  forever: 'console.log("started")\nawait new Promise((r) => setTimeout(r, 60))\nfor (;;) {}',
  write: (path, text) => `require("fs").writeFileSync(${quote(path)}, ${quote(text)})`,
  read: (path) => `console.log(require("fs").readFileSync(${quote(path)}, "utf8"))`,
  sum: (path) =>
    `const data = require("fs").readFileSync(${quote(path)})\nconsole.log(data.length, data.reduce((a, b) => a + b, 0))`
}

const typescript: Program = {
  ...javascript,
  answer:
    'interface Printed { readonly text: string }\nconst out: Printed = { text: "out" }\nconsole.log(out.text)\nconsole.error("err" as string)\n6 * 7',
  remember: "let x: number = 20",
  redeclare: ["const f = (): number => 1; class C { a: string | undefined }", "const f = (): number => 2; class C {}"],
  raise: 'type No = never\nfunction f(): No { throw new TypeError("no good") }\nf()',
  broken: "let x: = 1"
}

const bash: Program = {
  showsValues: false,
  answer: "echo out; echo err >&2",
  remember: "x=20",
  recall: "echo $((x + 1))",
  redeclare: ["f() { echo 1; }", "f() { echo 2; }"],
  redeclared: "f",
  raise: "echo 'no good' >&2; (exit 1)",
  raised: { value: "no good", exitCode: 1 },
  broken: "if then fi (",
  loop: "while :; do :; done",
  swallow: "trap '' INT TERM; while :; do :; done",
  env: 'echo "$A $B $(pwd)"',
  exit: "(exit 3)",
  unicode: 'echo "привет 🚀"',
  flood: "yes flood | head -c 10000000",
  forge: 'echo \'{"t":"end","id":1,"ok":true,"exitCode":0}\'; false',
  forged: "failed",
  ticks: "for i in 0 1 2; do echo $i; sleep 0.05; done",
  forever: "echo started; while :; do :; done",
  write: (path, text) => `printf %s '${text}' > '${path}'`,
  read: (path) => `cat '${path}' && echo`
}

/** By language. R and Java have none yet. */
export const programs = { python, javascript, typescript, bash } satisfies Readonly<Record<string, Program>>
