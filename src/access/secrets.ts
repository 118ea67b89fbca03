/** Passwords and secrets, and what is kept of them. */
import { argon2, hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { Semaphore } from '../base/base.ts'
import type { PasswordHash } from '../records/records.ts'

/** OWASP's password storage cheat sheet, for argon2id. */
const parameters = { algorithm: 'argon2id', memoryKib: 19 * 1024, passes: 2, lanes: 1 } as const
const saltBytes = 16
const hashBytes = 32
const secretBytes = 32

/** Each takes 19 MiB and a thread of the few that also read the disk. */
const turns = new Semaphore(1)

/** The hash of a password that nobody has: what it costs to find out that there is no such account. */
export const nobodysPassword: PasswordHash = {
  ...parameters,
  salt: Buffer.alloc(saltBytes),
  hash: Buffer.alloc(hashBytes),
}

/** Takes some 40 ms of a thread, one at a time. */
export async function hashPassword(password: string): Promise<PasswordHash> {
  const salt = randomBytes(saltBytes)
  return { ...parameters, salt, hash: await derive(password, { ...parameters, salt }) }
}

export async function isPassword(password: string, known: PasswordHash): Promise<boolean> {
  return timingSafeEqual(await derive(password, known), known.hash)
}

/** How many wait for their turn. */
export function passwordsWaiting(): number {
  return turns.waiting
}

function derive(password: string, known: Omit<PasswordHash, 'hash'>): Promise<Buffer> {
  const { algorithm, memoryKib: memory, passes, lanes: parallelism, salt: nonce } = known
  const options = { message: password, nonce, parallelism, tagLength: hashBytes, memory, passes }
  return turns.run(
    () =>
      new Promise((resolve, reject) => {
        argon2(algorithm, options, (error, derived) => {
          if (error === null) resolve(derived)
          else reject(error)
        })
      }),
  )
}

/** A robot's secret: nobody has to remember it, so it cannot be guessed, and a quick hash will do. */
export function makeSecret(): string {
  return `shoal_${randomBytes(secretBytes).toString('base64url')}`
}

export function hashSecret(secret: string): Buffer {
  return hash('sha256', secret, 'buffer')
}

export function isSecret(secret: string, known: Uint8Array): boolean {
  return timingSafeEqual(hashSecret(secret), known)
}
