/**
 * What the locked Python engine may ask of JavaScript: the import list of its wasm module, by name.
 *
 * An allowlist. A name that stands in no table here ends the process, so an import that a new Pyodide adds is refused
 * until somebody reads it. `test/sandbox/imports.test.ts` pins the tables against the installed wasm file.
 */

/** Answered by the engine's own glue: the in-memory file system, clocks, randomness, calls inside the module. */
export const allowed: ReadonlySet<string> = new Set([
  "__call_sighandler",
  "__syscall_chdir",
  "__syscall_chmod",
  "__syscall_dup",
  "__syscall_dup3",
  "__syscall_faccessat",
  "__syscall_fadvise64",
  "__syscall_fallocate",
  "__syscall_fchdir",
  "__syscall_fchmod",
  "__syscall_fchmodat2",
  "__syscall_fchown32",
  "__syscall_fchownat",
  "__syscall_fcntl64",
  "__syscall_fdatasync",
  "__syscall_fstat64",
  "__syscall_fstatfs64",
  "__syscall_ftruncate64",
  "__syscall_getcwd",
  "__syscall_getdents64",
  "__syscall_lstat64",
  "__syscall_mkdirat",
  "__syscall_newfstatat",
  "__syscall_openat",
  "__syscall_poll",
  "__syscall_readlinkat",
  "__syscall_renameat",
  "__syscall_rmdir",
  "__syscall_stat64",
  "__syscall_statfs64",
  "__syscall_symlinkat",
  "__syscall_truncate64",
  "__syscall_unlinkat",
  "__syscall_utimensat",
  "_PyEM_TrampolineCall_JS",
  "_emscripten_get_progname",
  "_gmtime_js",
  "_localtime_js",
  "_mktime_js",
  "_mmap_js",
  "_msync_js",
  "_munmap_js",
  "_timegm_js",
  "_tzset_js",
  "clock_res_get",
  "clock_time_get",
  "emscripten_date_now",
  "emscripten_get_heap_max",
  "emscripten_get_now",
  "environ_get",
  "environ_sizes_get",
  "fd_close",
  "fd_fdstat_get",
  "fd_pread",
  "fd_pwrite",
  "fd_read",
  "fd_seek",
  "fd_sync",
  "fd_write",
  "random_get"
])

/** Written again by us: memory growth up to the limit, and the interrupt check. See `python.ts`. */
export const replaced: ReadonlySet<string> = new Set(["_Py_CheckEmscriptenSignals_Helper", "emscripten_resize_heap"])

// errno values of Emscripten's libc (WASI numbering).
const EAFNOSUPPORT = -5
const ENOSYS = -52
const ENOTSOCK = -57
const ENOTTY = -59
const EPERM = -63

/** Answered with a constant: an error number, or the value of a machine that has none of this. */
export const constant: ReadonlyMap<string, number | null> = new Map<string, number | null>([
  ["__syscall_accept4", ENOTSOCK],
  ["__syscall_bind", ENOTSOCK],
  ["__syscall_connect", ENOTSOCK],
  ["__syscall_getpeername", ENOTSOCK],
  ["__syscall_getsockname", ENOTSOCK],
  ["__syscall_getsockopt", ENOTSOCK],
  ["__syscall_listen", ENOTSOCK],
  ["__syscall_recvfrom", ENOTSOCK],
  ["__syscall_recvmsg", ENOTSOCK],
  ["__syscall_sendmsg", ENOTSOCK],
  ["__syscall_sendto", ENOTSOCK],
  ["__syscall_socket", EAFNOSUPPORT],
  ["__syscall_ioctl", ENOTTY],
  // Device nodes could name the terminal device, whose glue writes to the child's real stdout.
  ["__syscall_mknodat", EPERM],
  // Pipe buffers live in the JavaScript heap, outside every quota of ours.
  ["__syscall_pipe", ENOSYS],
  // The glue would read and change the user and the umask of the real process.
  ["__syscall_getuid32_js", 1000],
  ["__syscall_umask_js", 0o22],
  ["_emscripten_system", ENOSYS],
  ["_setitimer_js", ENOSYS],
  ["_emscripten_lookup_name", 0],
  ["_Py_emscripten_runtime", 0],
  ["getaddrinfo", -2], // EAI_NONAME
  ["getnameinfo", -2],
  ["getprotobyname", 0],
  // Pyodide's asynchronous sockets: "this is no socket", so that the plain call above answers.
  ["_maybe_connect_async", null],
  ["_maybe_poll_async", null],
  ["_maybe_recvfrom_async", null],
  ["_maybe_sendto_async", null],
  ["_try_fcntl64", 0],
  ["_try_shutdown", 0],
  ["can_run_sync_js", 0],
  ["_emscripten_runtime_keepalive_clear", 0],
  ["emscripten_runtime_keepalive_pop", 0],
  ["emscripten_runtime_keepalive_push", 0]
])

/** End the process, as the program asked. */
export const exits: ReadonlySet<string> = new Set(["__assert_fail", "_abort_js", "exit", "proc_exit"])

/** What becomes of an import once the engine is locked. */
export type Verdict = "allowed" | "replaced" | "constant" | "exits" | "denied"

/** The verdict on the import called `name`. */
export const verdict = (name: string): Verdict => {
  if (allowed.has(name)) return "allowed"
  if (replaced.has(name)) return "replaced"
  if (constant.has(name)) return "constant"
  return exits.has(name) ? "exits" : "denied"
}

/** What the lock calls when the guest goes where it may not. Neither function returns. */
export interface Guard {
  readonly exit: (name: string, code: number) => never
  readonly deny: (name: string) => never
}

/** An import of the wasm module. */
export type Import = (...args: ReadonlyArray<unknown>) => unknown

/** Emscripten reads a function's wasm signature from `sig` when it puts the function into the table. */
export const withSignature = (wrapper: Import, open: Import): Import =>
  "sig" in open ? Object.defineProperty(wrapper, "sig", { value: open.sig }) : wrapper

/** A lock over an import object. It opens once, to boot, and never again after `close`. */
export interface Lock {
  readonly close: () => void
}

const guarded = (name: string, open: Import, isClosed: () => boolean, guard: Guard): Import => {
  const fixed = constant.get(name)
  switch (verdict(name)) {
    case "allowed":
    case "replaced":
      return open
    case "constant":
      return (...args) => (isClosed() ? fixed : open(...args))
    case "exits":
      return (...args) => (isClosed() ? guard.exit(name, typeof args[0] === "number" ? args[0] : 134) : open(...args))
    case "denied":
      return (...args) => (isClosed() ? guard.deny(name) : open(...args))
  }
}

export const isImport = (u: unknown): u is Import => typeof u === "function"

/**
 * An import as a function; `undefined` for memory, tables, globals, tags and numbers. Where Node has JavaScript promise
 * integration, one import is no function but a `WebAssembly.Suspending`, which calls one: nothing of ours needs it.
 */
const callable = (name: string, value: unknown, guard: Guard): Import | undefined => {
  if (isImport(value)) return value
  if (typeof value !== "object" || value === null) return undefined
  const kind: unknown = Reflect.get(Object.getPrototypeOf(value), Symbol.toStringTag)
  return typeof kind === "string" && passive.has(kind) ? undefined : () => guard.deny(name)
}

const passive = new Set(["Global", "Memory", "Table", "Tag"].map((kind) => `WebAssembly.${kind}`))

/**
 * Replaces every function of `imports` in place. In place, because Emscripten resolves `dlsym`, the function table and
 * side modules from this same object: whatever it hands out later is a guarded function too.
 */
export const install = (
  imports: Record<string, unknown>,
  ours: Readonly<Record<string, Import>>,
  guard: Guard
): Lock => {
  let closed = false
  const isClosed = () => closed
  for (const name of Object.keys(imports)) {
    const open = callable(name, imports[name], guard)
    if (open === undefined) continue
    const wrapper = guarded(name, (Object.hasOwn(ours, name) ? ours[name] : undefined) ?? open, isClosed, guard)
    imports[name] = wrapper === open ? open : withSignature(wrapper, open)
  }
  return {
    close: () => {
      closed = true
    }
  }
}
