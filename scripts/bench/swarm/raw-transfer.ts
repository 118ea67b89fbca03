/**
 * A file over a bare TCP connection between two processes, with a node's work at its ends: read from the disk, hash twice,
 * write to the disk and sync.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { CommandError, runCommand } from '../command.ts'
import type { Content } from '../content.ts'

const readBytes = 2 ** 20
const writeBytes = 2 ** 20

export interface RawTransfer {
  /** From the connection to the file being on the disk, without the start of the processes. */
  ms: number
  /** CPU time of each side. */
  senderMs: number
  receiverMs: number
}

export async function transferRaw(
  content: Content,
  to: string,
  { signal }: { signal: AbortSignal },
): Promise<RawTransfer> {
  const stdio = ['ignore', 'pipe', 'inherit'] as const
  const sender = spawn(process.execPath, [import.meta.filename, 'send', content.path], {
    stdio: [...stdio],
    signal,
  })
  const gone = once(sender, 'exit')
  try {
    const [port] = (await once(sender.stdout, 'data')) as [Buffer]
    const ended = once(sender.stdout, 'data')
    const args = [import.meta.filename, 'receive', port.toString().trim(), to]
    const { stdout } = await runCommand(process.execPath, args, { signal })
    const { ms, receiverMs, digest } = JSON.parse(stdout) as Omit<RawTransfer, 'senderMs'> & {
      digest: string
    }
    if (digest !== content.digest) throw new CommandError(`the bare transfer of ${content.path} went wrong`)
    const [sent] = (await ended) as [Buffer]
    return { ms, receiverMs, senderMs: Number(sent.toString()) }
  } finally {
    sender.kill('SIGKILL')
    await gone
    await rm(to, { force: true })
  }
}

async function send(file: string): Promise<void> {
  const server = createServer({ noDelay: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address !== null && typeof address === 'object') process.stdout.write(`${address.port}\n`)
  const [socket] = await once(server, 'connection')
  const before = process.cpuUsage()
  await pipeline(createReadStream(file, { highWaterMark: readBytes }), socket)
  process.stdout.write(`${cpuMs(before)}\n`)
  server.close()
}

async function receive(port: number, file: string): Promise<void> {
  const before = process.cpuUsage()
  const startedAt = performance.now()
  const socket = connect({ port, host: '127.0.0.1' })
  await using handle = await open(file, 'w')
  const [pieces, whole] = [createHash('sha256'), createHash('sha256')]
  let waiting: Buffer[] = []
  let waitingBytes = 0
  let writing: Promise<unknown> = Promise.resolve()
  const flush = async (): Promise<void> => {
    await writing
    writing = handle.writev(waiting)
    waiting = []
    waitingBytes = 0
  }
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    pieces.update(chunk)
    whole.update(chunk)
    waiting.push(chunk)
    waitingBytes += chunk.length
    if (waitingBytes >= writeBytes) await flush()
  }
  await flush()
  await writing
  await handle.sync()
  pieces.digest()
  const ms = performance.now() - startedAt
  process.stdout.write(
    JSON.stringify({ ms, receiverMs: cpuMs(before), digest: `sha256:${whole.digest('hex')}` }),
  )
}

function cpuMs(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

if (import.meta.main) {
  const [what, first = '', second = ''] = process.argv.slice(2)
  if (what === 'send') await send(first)
  else await receive(Number(first), second)
}
