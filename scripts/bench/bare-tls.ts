/** OpenSSL's own TLS server with one file: what no registry can send faster to the same client over TLS. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { link } from 'node:fs/promises'
import { connect } from 'node:net'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { environment, runCommand } from './command.ts'
import { freePorts, SubjectError } from './subject.ts'

const pollMs = 20
const polls = 500

export interface BareTls extends AsyncDisposable {
  /** Of the file. */
  readonly url: string
}

/** `folder` is on the file's own disk, and gets a key, a certificate and a link to the file. */
export async function openBareTls(
  folder: string,
  file: string,
  { signal }: { signal: AbortSignal },
): Promise<BareTls> {
  const [key, certificate] = [path.join(folder, 'key.pem'), path.join(folder, 'certificate.pem')]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const kept = ['-keyout', key, '-out', certificate, '-days', '2', '-subj', '/CN=localhost']
  await runCommand('openssl', ['req', '-x509', ...curve, ...kept], { signal })
  // It serves no name with a colon, which a digest has.
  await link(file, path.join(folder, 'blob'))
  const [port] = await freePorts()
  const address = ['-accept', `127.0.0.1:${port}`, '-cert', certificate, '-key', key]
  const args = ['s_server', ...address, '-WWW', '-quiet']
  const child = spawn('openssl', args, { cwd: folder, stdio: 'ignore', env: environment })
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill()
    await exited
  }
  await once(child, 'spawn')
  try {
    await untilListening(port, signal)
  } catch (error) {
    await stop()
    throw error
  }
  return { url: `https://127.0.0.1:${port}/blob`, [Symbol.asyncDispose]: stop }
}

async function untilListening(port: number, signal: AbortSignal): Promise<void> {
  for (let poll = 0; poll < polls; poll += 1) {
    if (await isOpen(port)) return
    await delay(pollMs, undefined, { signal })
  }
  throw new SubjectError(`openssl s_server does not listen on port ${port}`)
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    const end = (isThere: boolean) => {
      socket.destroy()
      resolve(isThere)
    }
    socket.once('connect', () => end(true)).once('error', () => end(false))
  })
}
