/** The Python guest's streams and devices: its output, its random bytes, the driver's own; no terminal. */
import type { Channel } from "./channel.ts"
import { deviceFd } from "./driver.ts"
import type { Device, Engine } from "./pythonFiles.ts"

const device = (read: Device["read"], write: (bytes: Uint8Array) => void): Device => ({
  open: (stream) => {
    stream.seekable = false
  },
  read,
  write: (_stream, buffer, offset, length) => {
    write(new Uint8Array(buffer.buffer, buffer.byteOffset + offset, length))
    return length
  }
})

const endOfFile = () => 0

/** Any number that Emscripten does not use itself. */
const major = 90
const randomMinor = 8

/** The most bytes that one call gives. */
const randomBytes = 65_536

const random = (_stream: unknown, buffer: Int8Array, offset: number, length: number) => {
  const size = Math.min(length, randomBytes)
  buffer.set(crypto.getRandomValues(new Uint8Array(size)), offset)
  return size
}

/** Gives the guest streams 0 to 2 and the driver's device, and takes the terminal away. */
export const openStreams = (engine: Engine, channel: Channel): void => {
  const { FS } = engine
  const speak = (bytes: Uint8Array) => {
    if (bytes[0] === 0x53 /* S */) channel.sleep(Number(Buffer.from(bytes.subarray(1, 24)).toString("latin1")))
    else if (bytes[0] === 0x52 /* R */) channel.result(bytes.subarray(1))
  }
  const devices: ReadonlyArray<readonly [string, Device]> = [
    ["/dev/stdin", device(endOfFile, () => undefined)],
    ["/dev/stdout", device(endOfFile, (bytes) => channel.write("stdout", bytes))],
    ["/dev/stderr", device(endOfFile, (bytes) => channel.write("stderr", bytes))],
    ["/dev/holdfast", device(endOfFile, speak)]
  ]
  for (let fd = 0; fd < 64; fd++) {
    const stream = FS.getStream(fd)
    if (stream !== undefined && stream !== null) FS.close(stream)
  }
  for (const path of ["/dev/tty", "/dev/tty1", ...devices.map(([path]) => path)])
    if (FS.analyzePath(path).exists) FS.unlink(path)
  const silent = device(endOfFile, () => undefined)
  // Pyodide numbers its terminals from 5 on; whoever still holds such a number speaks to nobody.
  for (let number = 2; number < major; number++)
    for (let minor = 0; minor < 4; minor++) FS.registerDevice(FS.makedev(number, minor), silent)
  FS.registerDevice(
    FS.makedev(major, randomMinor),
    device(random, () => undefined)
  )
  for (const path of ["/dev/random", "/dev/urandom"]) {
    FS.unlink(path)
    FS.mkdev(path, 0o666, FS.makedev(major, randomMinor))
  }
  devices.forEach(([path, operations], minor) => {
    FS.registerDevice(FS.makedev(major, minor), operations)
    FS.mkdev(path, 0o666, FS.makedev(major, minor))
    const { fd } = FS.open(path, minor === 0 ? 0 : 1)
    if (fd !== minor) throw new Error(`stream ${minor} opened as ${fd}`)
  })
  FS.unlink("/dev/holdfast")
  if (devices.length !== deviceFd + 1) throw new Error("the driver's device has another number")
}
