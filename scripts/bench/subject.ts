/** A registry program that can be measured, and one running process of it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, open, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { CodedError } from '../../src/base/base.ts'
import { environment } from './command.ts'
import { request } from './request.ts'

const startDeadlineMs = 120_000
const stopDeadlineMs = 15_000
const pollMs = 2

export class SubjectError extends CodedError {
  readonly code = 'SUBJECT_FAILED'
}

export interface Places {
  dataDir: string
  /** A folder beside the data for what the subject needs else, such as its configuration. */
  workDir: string
  /** Default 127.0.0.1. */
  httpHost?: string
  httpPort: number
  p2pPort: number
}

export interface Subject {
  readonly name: string
  version(options: { signal: AbortSignal }): Promise<string>
  /** The command that serves from `dataDir`, after whatever files it needs have been written. */
  prepare(places: Places): Promise<{ file: string; args: string[] }>
}

export interface Registry extends AsyncDisposable {
  readonly subject: Subject
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly host: string
  readonly pid: number
  readonly dataDir: string
  /** From the spawn to the first 200 of `/v2/`. */
  readonly firstAnswerMs: number
}

/** Starts the subject over `folder/data`, which may hold a store already, and waits for its first answer. */
export async function openRegistry(
  subject: Subject,
  folder: string,
  { signal }: { signal: AbortSignal },
): Promise<Registry> {
  const dataDir = path.join(folder, 'data')
  await mkdir(dataDir, { recursive: true })
  const [httpPort, p2pPort] = await freePorts()
  const { file, args } = await subject.prepare({ dataDir, workDir: folder, httpPort, p2pPort })
  const logPath = path.join(folder, 'log')
  const log = await open(logPath, 'w')
  const started = performance.now()
  // A group of its own: a wrapper script and what it started are ended together.
  const child = spawn(file, args, { stdio: ['ignore', log.fd, log.fd], env: environment, detached: true })
  try {
    await once(child, 'spawn')
    const host = `127.0.0.1:${httpPort}`
    await untilAnswer(`http://${host}/v2/`, child, signal)
    const firstAnswerMs = performance.now() - started
    const { pid } = child
    if (pid === undefined) throw new SubjectError(`${file} has no process id`)
    const stop = () => stopGroup(child)
    return { subject, url: `http://${host}`, host, pid, dataDir, firstAnswerMs, [Symbol.asyncDispose]: stop }
  } catch (cause) {
    await stopGroup(child)
    if (signal.aborted) throw cause
    const said = (await readFile(logPath, 'utf8')).slice(-1500)
    throw new SubjectError(`${subject.name} did not start (${[file, ...args].join(' ')}): ${said}`, { cause })
  } finally {
    await log.close()
  }
}

async function untilAnswer(url: string, child: ChildProcess, signal: AbortSignal): Promise<void> {
  const deadline = performance.now() + startDeadlineMs
  while (performance.now() < deadline) {
    if (child.exitCode !== null) throw new SubjectError(`it exited with ${child.exitCode}`)
    if (await answers(url, signal)) return
    await delay(pollMs, undefined, { signal })
  }
  throw new SubjectError(`no 200 from ${url} within ${startDeadlineMs} ms`)
}

async function answers(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    return (await request(url, { signal })).status === 200
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED') return false
    throw error
  }
}

async function stopGroup(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  process.kill(-child.pid, 'SIGTERM')
  const stuck = new AbortController()
  const late = delay(stopDeadlineMs, 'late' as const, { signal: stuck.signal }).catch(
    () => 'stopped' as const,
  )
  if ((await Promise.race([exited, late])) === 'late') process.kill(-child.pid, 'SIGKILL')
  stuck.abort()
  await exited
}

/** Two that nothing listens on now. */
export async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()]
  const ports: number[] = []
  for (const server of servers) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address !== null && typeof address === 'object') ports.push(address.port)
  }
  for (const server of servers) {
    server.close()
    await once(server, 'close')
  }
  const [first, second] = ports
  if (first === undefined || second === undefined) throw new SubjectError('no free ports on 127.0.0.1')
  return [first, second]
}
