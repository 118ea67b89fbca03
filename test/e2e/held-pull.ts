/** The pull of one blob over a connection of its own, held back in the middle as by a client on a slow line. */
import { createHash } from 'node:crypto'
import http from 'node:http'

export interface HeldPull {
  /** As the response announced it. */
  readonly contentLength: number
  /** Reads on, until the body ends or breaks off. */
  finish(): Promise<{ digest: string; bytes: number; complete: boolean }>
}

/** Resolves when the response has begun. The blob has to be larger than what sockets hold, or nothing is left to hold back. */
export function holdPull(port: number, path: string): Promise<HeldPull> {
  return new Promise((resolve, reject) => {
    http
      .get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
        // Not read yet, and so not heard either: a connection that is cut meanwhile must not end the test.
        response.on('error', () => response.destroy())
        const contentLength = Number(response.headers['content-length'])
        resolve({ contentLength, finish: () => readOn(response) })
      })
      .once('error', reject)
  })
}

function readOn(response: http.IncomingMessage): ReturnType<HeldPull['finish']> {
  return new Promise((resolve) => {
    const hash = createHash('sha256')
    let bytes = 0
    response.on('data', (chunk: Buffer) => {
      hash.update(chunk)
      bytes += chunk.length
    })
    const settle = () =>
      resolve({ digest: `sha256:${hash.digest('hex')}`, bytes, complete: response.complete })
    if (response.closed) settle()
    else response.once('close', settle)
  })
}
