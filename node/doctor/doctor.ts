/** Every check of `shoal doctor`, run side by side, and what they found in order. */
import { admission } from './admission.ts'
import { authority } from './authority.ts'
import { type Check, type Finding, fault, type Surroundings } from './check.ts'
import { clients } from './clients.ts'
import { clock } from './clock.ts'
import { copies } from './copies.ts'
import { database } from './database.ts'
import { discovery } from './discovery.ts'
import { disk } from './disk.ts'
import { docker } from './docker.ts'
import { folder } from './folder.ts'
import { members } from './members.ts'
import { ports } from './ports.ts'
import { nodeProcess } from './process.ts'
import { quarantine } from './quarantine.ts'
import { runtime } from './runtime.ts'
import { secrets } from './secrets.ts'
import { upstreams } from './upstreams.ts'

const checks: Check[] = [
  runtime,
  nodeProcess,
  folder,
  secrets,
  disk,
  quarantine,
  database,
  copies,
  ports,
  clients,
  discovery,
  members,
  admission,
  authority,
  clock,
  upstreams,
  docker,
]

export interface Diagnosis extends Finding {
  check: string
}

const checkMs = 15_000

export async function diagnose(surroundings: Surroundings): Promise<Diagnosis[]> {
  const found = await Promise.all(
    checks.map(async (check) => {
      const findings = await examine(check, surroundings)
      return findings.map((finding) => ({ check: check.name, ...finding }))
    }),
  )
  return found.flat()
}

/** For people, before it is coloured: an id right behind a colour is not told from the text around it. */
export function diagnosesInWords(diagnoses: Diagnosis[], inWords: (text: string) => string): Diagnosis[] {
  return diagnoses.map(({ advice, ...diagnosis }) => ({
    ...diagnosis,
    found: inWords(diagnosis.found),
    ...(advice === undefined ? {} : { advice: inWords(advice) }),
  }))
}

/** A check that fails is a finding too: the others go on. */
async function examine(check: Check, surroundings: Surroundings): Promise<Finding[]> {
  try {
    return await check.examine(surroundings, { signal: AbortSignal.timeout(checkMs) })
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return [
      fault(`it could not be looked at: ${reason}`, 'run shoal doctor as root, or as the user of the node'),
    ]
  }
}
