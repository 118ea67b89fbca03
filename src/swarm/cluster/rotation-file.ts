/** What is kept of rotations: how many there were, the last one as signed, and secrets that are still good for a while. */
import { join } from 'node:path'
import { SwarmFileError } from '../errors.ts'
import { readSecretFile, removeSecretFile } from './secret-file.ts'

export interface Rotations {
  generation: number
  /** Absent where the node joined with a token of that generation. */
  signed?: Uint8Array
  /** Secrets of before, the latest first. */
  earlier: EarlierSecret[]
}

export interface EarlierSecret {
  secret: Uint8Array
  /** Wall time. Infinite for that of a rotation which another at the same time outranked: it is good until the next. */
  untilMs: number
}

const lineForm = /^(?:generation|signed|earlier|rival) /

export function isRotationLine(line: string): boolean {
  return lineForm.test(line)
}

/** Throws SwarmFileError, naming the file, for a line that says anything else. */
export function parseRotations(lines: string[], path: string): Rotations {
  const rotations: Rotations = { generation: 0, earlier: [] }
  for (const line of lines) {
    const [word, first = '', second = ''] = line.split(' ')
    if (word === 'generation' && /^\d{1,15}$/.test(first)) rotations.generation = Number(first)
    else if (word === 'signed' && /^[\w-]+$/.test(first)) {
      rotations.signed = new Uint8Array(Buffer.from(first, 'base64url'))
    } else if (word === 'earlier' && /^\d{1,15}$/.test(first) && secretForm.test(second)) {
      rotations.earlier.push({ secret: bytesOf(second), untilMs: Number(first) })
    } else if (word === 'rival' && secretForm.test(first)) {
      rotations.earlier.push({ secret: bytesOf(first), untilMs: Number.POSITIVE_INFINITY })
    } else
      throw new SwarmFileError(path, 'has a line that says nothing of rotations; restore it from a backup')
  }
  return rotations
}

export function rotationLines({ generation, signed, earlier }: Rotations): string[] {
  return [
    `generation ${generation}`,
    ...(signed === undefined ? [] : [`signed ${Buffer.from(signed).toString('base64url')}`]),
    ...earlier.map(({ secret, untilMs }) =>
      untilMs === Number.POSITIVE_INFINITY ? `rival ${hexOf(secret)}` : `earlier ${untilMs} ${hexOf(secret)}`,
    ),
  ]
}

/** From DIR/rotation, in which versions before kept them; absent where the secret is the first one. */
export async function readRotationFile(directory: string): Promise<Rotations> {
  const path = join(directory, 'rotation')
  const text = await readSecretFile(path)
  return parseRotations(text?.trim().split('\n') ?? [], path)
}

export async function removeRotationFile(directory: string): Promise<void> {
  await removeSecretFile(join(directory, 'rotation'))
}

const secretForm = /^[0-9a-f]{64}$/

function bytesOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}

function hexOf(secret: Uint8Array): string {
  return Buffer.from(secret).toString('hex')
}
