/** The Python guest's file system: all in memory, and counted. `pythonStreams.ts` cuts it off from the terminal. */
import type { Boot } from "./frame.ts"

/** A node of Emscripten's in-memory file system. */
export interface FileNode {
  readonly mode: number
  readonly contents: unknown
  readonly usedBytes?: number | undefined
  readonly name_next?: FileNode | null | undefined
}

export interface FileStream {
  readonly node: FileNode
}

type Write = (
  stream: FileStream,
  buffer: Int8Array,
  offset: number,
  length: number,
  at: number,
  own?: boolean
) => number

export interface Device {
  open?: (stream: { seekable: boolean }) => void
  read: (stream: unknown, buffer: Int8Array, offset: number, length: number) => number
  write: (stream: unknown, buffer: Int8Array, offset: number, length: number) => number
}

/** The parts of Emscripten's module that we stand on. All of them private to Pyodide: hence the exact version. */
export interface Engine {
  readonly HEAP8: Int8Array
  readonly HEAPU8: Uint8Array
  readonly growMemory: (bytes: number) => unknown
  readonly _Py_EMSCRIPTEN_SIGNAL_HANDLING: number
  readonly __Py_NoneStruct: number
  readonly _malloc: (bytes: number) => number
  readonly _free: (pointer: number) => void
  readonly _PyImport_AddModule: (name: number) => number
  readonly _PyObject_GetAttrString: (object: number, name: number) => number
  readonly _PyObject_CallNoArgs: (callable: number) => number
  readonly _PyObject_CallOneArg: (callable: number, argument: number) => number
  readonly _PyObject_IsTrue: (object: number) => number
  readonly _PyEval_EvalCode: (code: number, globals: number, locals: number) => number
  readonly _PyErr_GetRaisedException: () => number
  readonly _PyErr_CheckSignals: () => number
  readonly _PyErr_Clear: () => void
  readonly _PyList_GetItem: (list: number, index: number) => number
  readonly _PyUnicode_FromStringAndSize: (pointer: number, size: number) => number
  readonly _PyUnicode_AsUTF8AndSize: (object: number, size: number) => number
  readonly _Py_DecRef: (object: number) => void
  readonly FS: {
    readonly makedev: (major: number, minor: number) => number
    readonly registerDevice: (device: number, operations: Device) => void
    readonly mkdev: (path: string, mode: number, device: number) => void
    readonly unlink: (path: string) => void
    readonly open: (path: string, flags: number) => FileStream & { readonly fd: number }
    readonly close: (stream: unknown) => void
    readonly read: (stream: unknown, buffer: Uint8Array, offset: number, length: number, at: number) => number
    readonly write: (stream: unknown, buffer: Uint8Array, offset: number, length: number) => number
    readonly readdir: (path: string) => ReadonlyArray<string>
    readonly mkdir: (path: string) => unknown
    readonly rmdir: (path: string) => void
    readonly lookupPath: (path: string, options: { readonly follow: boolean }) => { readonly node: FileNode }
    readonly getStream: (fd: number) => unknown
    readonly analyzePath: (path: string) => { readonly exists: boolean }
    readonly ErrnoError: new (errno: number) => Error
    readonly nameTable: ReadonlyArray<FileNode | null | undefined>
    readonly streams: ReadonlyArray<FileStream | null | undefined>
    createNode: (parent: unknown, name: string, mode: number, device: number) => FileNode
    createStream: (stream: unknown, number?: number) => FileStream
    readonly filesystems: {
      readonly MEMFS: {
        readonly ops_table: {
          readonly file: { readonly stream: { write: Write } }
          readonly dir: {
            readonly node: {
              symlink: (parent: unknown, name: string, target: string) => FileNode
              rename: (node: unknown, parent: unknown, name: string) => void
            }
          }
        }
        readonly stream_ops: { write: Write }
        resizeFileStorage: (node: FileNode, size: number) => void
      }
    }
  }
}

const functions = [
  "growMemory",
  "_malloc",
  "_free",
  "_PyImport_AddModule",
  "_PyObject_GetAttrString",
  "_PyObject_CallNoArgs",
  "_PyObject_CallOneArg",
  "_PyObject_IsTrue",
  "_PyEval_EvalCode",
  "_PyErr_GetRaisedException",
  "_PyErr_CheckSignals",
  "_PyErr_Clear",
  "_PyList_GetItem",
  "_PyUnicode_FromStringAndSize",
  "_PyUnicode_AsUTF8AndSize",
  "_Py_DecRef"
]

const fileFunctions = [
  "makedev",
  "registerDevice",
  "mkdev",
  "unlink",
  "open",
  "close",
  "getStream",
  "createNode",
  "createStream",
  "read",
  "write",
  "readdir",
  "mkdir",
  "rmdir",
  "lookupPath"
]

/** Whether `u` has what we stand on; the boot fails where it has not. */
export const isEngine = (u: unknown): u is Engine => {
  if (typeof u !== "object" || u === null) return false
  const part = new Map<string, unknown>(Object.entries(u))
  const files = part.get("FS")
  return (
    functions.every((name) => typeof part.get(name) === "function") &&
    part.get("HEAPU8") instanceof Uint8Array &&
    part.get("HEAP8") instanceof Int8Array &&
    typeof part.get("_Py_EMSCRIPTEN_SIGNAL_HANDLING") === "number" &&
    typeof part.get("__Py_NoneStruct") === "number" &&
    typeof files === "object" &&
    files !== null &&
    fileFunctions.every((name) => typeof Reflect.get(files, name) === "function")
  )
}

// errno values of Emscripten's libc.
const ENAMETOOLONG = 37
const ENOSPC = 51
const EMFILE = 33

/** Emscripten's own limit, which it forgets where a program chooses the number. */
const maxOpenFiles = 4096

// NAME_MAX and PATH_MAX of Linux. Emscripten has neither, and a name is a JavaScript string that lives in V8's heap.
const nameChars = 255
const pathChars = 4096

/** What lies in the file system now: named files, and unlinked ones that are still open. */
const weigh = (files: Engine["FS"]): { readonly bytes: number; readonly count: number } => {
  const seen = new Set<FileNode>()
  for (const head of files.nameTable)
    for (let node = head; node !== undefined && node !== null; node = node.name_next) seen.add(node)
  for (const stream of files.streams) if (stream?.node !== undefined) seen.add(stream.node)
  let bytes = 0
  for (const node of seen) bytes += capacity(node)
  return { bytes, count: seen.size }
}

/** Bytes are held as whatever array they were written from, signed or not. */
const capacity = (node: FileNode): number => (ArrayBuffer.isView(node.contents) ? node.contents.byteLength : 0)

/** Tells when a file changed. */
export type StampOf = (node: FileNode) => number

/**
 * Bounds what files hold, and stamps each file that changes from now on. Their bytes lie in the JavaScript heap, which
 * neither the engine's memory limit nor V8's heap limit bounds. The running sums only ever err upwards (a rename over a
 * file, a close of an unlinked one), and are made exact before anything is refused.
 */
export const limitFiles = (engine: Engine, boot: Boot): StampOf => {
  const { FS } = engine
  const { MEMFS } = FS.filesystems
  const before = weigh(FS)
  let { bytes, count } = before
  const claim = (more: number, nodes: number) => {
    const fits = () => bytes + more <= before.bytes + boot.fileBytes && count + nodes <= before.count + boot.fileCount
    if (!fits()) ({ bytes, count } = weigh(FS))
    if (!fits()) throw new FS.ErrnoError(ENOSPC)
  }

  const stamps = new WeakMap<FileNode, number>()
  let changes = 0
  const touch = (node: FileNode) => stamps.set(node, ++changes)

  const write = MEMFS.stream_ops.write
  const limited: Write = (stream, buffer, offset, length, at, own) => {
    const size = capacity(stream.node)
    // Emscripten grows a file by an eighth at least, and doubles one under a mebibyte.
    const grown = at + length <= size ? size : Math.max(at + length, size < 1 << 20 ? size * 2 : size * 1.125, 256)
    claim(grown - size, 0)
    const written = write(stream, buffer, offset, length, at, own)
    touch(stream.node)
    bytes += capacity(stream.node) - size
    return written
  }
  MEMFS.stream_ops.write = limited
  MEMFS.ops_table.file.stream.write = limited

  const resize = MEMFS.resizeFileStorage
  MEMFS.resizeFileStorage = (node, wanted) => {
    const size = capacity(node)
    // The old bytes live until the new ones are filled.
    claim(wanted, 0)
    resize(node, wanted)
    touch(node)
    bytes += capacity(node) - size
  }

  const create = FS.createNode
  FS.createNode = (parent, name, mode, number) => {
    if (name.length > nameChars) throw new FS.ErrnoError(ENAMETOOLONG)
    claim(0, 1)
    count += 1
    const node = create(parent, name, mode, number)
    touch(node)
    return node
  }

  // `fcntl` may ask for any number, and the table of open files is an array as long as the largest one.
  const createStream = FS.createStream
  FS.createStream = (stream, number) => {
    if (number !== undefined && number >= maxOpenFiles) throw new FS.ErrnoError(EMFILE)
    return createStream(stream, number)
  }

  const folders = MEMFS.ops_table.dir.node
  const symlink = folders.symlink
  folders.symlink = (parent, name, target) => {
    if (target.length > pathChars) throw new FS.ErrnoError(ENAMETOOLONG)
    return symlink(parent, name, target)
  }
  const rename = folders.rename
  folders.rename = (node, parent, name) => {
    if (name.length > nameChars) throw new FS.ErrnoError(ENAMETOOLONG)
    rename(node, parent, name)
  }
  return (node) => stamps.get(node) ?? 0
}
