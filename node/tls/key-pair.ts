/** What a TLS server shows and proves itself by: read from the operator's files, or made under this node's own authority. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type Clock, CodedError, systemReason } from '../../src/base/base.ts'
import { type Authority, issue } from './own-authority.ts'

/** In PEM: the certificate, with those between it and its authority behind it. */
export interface KeyPair {
  certificate: string
  key: string
}

export interface KeyPairSource {
  /** What to use from now on; `undefined` where that is what the last call gave. Throws KeyPairError for what cannot be used. */
  look(): Promise<KeyPair | undefined>
}

/** The files are not there, not what they should be, or do not belong together. */
export class KeyPairError extends CodedError {
  readonly code = 'KEY_PAIR'
}

/** Read on each look, as their times say little: whoever renews them may do so through a link, or within a second. */
export function pairFromFiles(certificateFile: string, keyFile: string): KeyPairSource {
  let last: KeyPair | undefined
  return {
    async look() {
      const certificate = await read('--tls-cert', certificateFile)
      const key = await read('--tls-key', keyFile)
      if (certificate === last?.certificate && key === last.key) return undefined
      checkPair(certificate, key, { certificateFile, keyFile })
      last = { certificate, key }
      return last
    },
  }
}

async function read(flag: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new KeyPairError(`${flag}: ${file} cannot be read: ${systemReason(cause)}`, { cause })
  }
}

function checkPair(
  certificate: string,
  key: string,
  { certificateFile, keyFile }: { certificateFile: string; keyFile: string },
): void {
  const leaf = parse(
    () => new X509Certificate(certificate),
    `--tls-cert: ${certificateFile} does not begin with a certificate in PEM form`,
  )
  const own = parse(
    (): KeyObject => createPrivateKey(key),
    `--tls-key: ${keyFile} does not hold a private key in PEM form without a passphrase`,
  )
  if (leaf.checkPrivateKey(own)) return
  throw new KeyPairError(
    `--tls-key: the key in ${keyFile} is not that of the first certificate in ${certificateFile}; give a pair, the server's certificate first`,
  )
}

/** A parser's own words may quote what stands beside the fault, which is a key. */
function parse<T>(parser: () => T, refusal: string): T {
  try {
    return parser()
  } catch {
    throw new KeyPairError(refusal)
  }
}

const dayMs = 24 * 3600_000
/** A clock that is set a little later does not make it one of the future. */
const backdatedMs = dayMs
const validMs = 90 * dayMs
const renewedMs = 60 * dayMs

export interface OwnPairOptions {
  authority: Authority
  /** Names and addresses that clients reach this node by; those that it lost stay until there is one more. */
  hosts(): Promise<readonly string[]>
  /** Wall time, which may be set. */
  clock: Clock
}

/** Made anew when it is two thirds through its time, when the clock was set to before or after it, and for a new name. */
export function ownPair({ authority, hosts, clock }: OwnPairOptions): KeyPairSource {
  let last: { madeMs: number; hosts: ReadonlySet<string> } | undefined
  return {
    async look() {
      const nowMs = clock.now()
      const wanted = new Set(await hosts())
      const isInTime =
        last !== undefined && nowMs >= last.madeMs - backdatedMs && nowMs < last.madeMs + renewedMs
      if (isInTime && last !== undefined && wanted.isSubsetOf(last.hosts)) return undefined
      last = { madeMs: nowMs, hosts: wanted }
      return issue(authority, [...wanted], { fromMs: nowMs - backdatedMs, untilMs: nowMs + validMs })
    },
  }
}
