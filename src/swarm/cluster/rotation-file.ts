/** DIR/rotation: how many rotations there were, the last one as signed, and secrets that are still good for a while. */
import { join } from 'node:path'
import { SwarmFileError } from '../errors.ts'
import { readSecretFile, writeSecretFile } from './secret-file.ts'

export interface Rotations {
  generation: number
  /** Absent where the node joined with a token of that generation. */
  signed?: Uint8Array
  /** Secrets of before, the latest first. */
  earlier: EarlierSecret[]
}

export interface EarlierSecret {
  secret: Uint8Array
  /** Wall time. */
  untilMs: number
}

/** A file of lines; absent where the secret is the first one. Throws SwarmFileError for one that holds anything else. */
export async function readRotations(directory: string): Promise<Rotations> {
  const path = join(directory, 'rotation')
  const text = await readSecretFile(path)
  const rotations: Rotations = { generation: 0, earlier: [] }
  for (const line of text?.trim().split('\n') ?? []) {
    const [word, first = '', second = ''] = line.split(' ')
    if (word === 'generation' && /^\d{1,15}$/.test(first)) rotations.generation = Number(first)
    else if (word === 'signed' && /^[\w-]+$/.test(first)) {
      rotations.signed = new Uint8Array(Buffer.from(first, 'base64url'))
    } else if (word === 'earlier' && /^\d{1,15}$/.test(first) && /^[0-9a-f]{64}$/.test(second)) {
      rotations.earlier.push({ secret: new Uint8Array(Buffer.from(second, 'hex')), untilMs: Number(first) })
    } else
      throw new SwarmFileError(path, 'has a line that says nothing of rotations; restore it from a backup')
  }
  return rotations
}

export async function writeRotations(
  directory: string,
  { generation, signed, earlier }: Rotations,
): Promise<void> {
  const lines = [
    `generation ${generation}`,
    ...(signed === undefined ? [] : [`signed ${Buffer.from(signed).toString('base64url')}`]),
    ...earlier.map(({ secret, untilMs }) => `earlier ${untilMs} ${Buffer.from(secret).toString('hex')}`),
  ]
  await writeSecretFile(join(directory, 'rotation'), `${lines.join('\n')}\n`)
}
