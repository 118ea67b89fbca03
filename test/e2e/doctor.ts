/** Runs `shoal doctor` and reads what it found. */
import { execFile } from 'node:child_process'
import path from 'node:path'
import type { Diagnosis } from '../../node/doctor/doctor.ts'

const shoal = path.join(import.meta.dirname, '../../scripts/shoal')

/** `through` turns the command into one that runs elsewhere, as in a network namespace. */
export type Through = (program: string, args: string[]) => { command: string; args: string[] }

export interface Examination {
  exitCode: number
  /** Each fault as `CHECK: FOUND -> ADVICE`. */
  faults: string[]
  all: Diagnosis[]
}

/** Docker is looked for where it is not, unless the flags say where. */
export async function examine(
  data: string,
  flags: string[] = [],
  through: Through = (command, args) => ({ command, args }),
): Promise<Examination> {
  const nowhere = [
    '--docker-config',
    path.join(data, 'no.json'),
    '--docker-socket',
    path.join(data, 'no.sock'),
  ]
  const { command, args } = through(shoal, ['doctor', '--json', '--data', data, ...nowhere, ...flags])
  const { exitCode, stdout, stderr } = await execute(command, args)
  if (stderr !== '') throw new Error(`shoal doctor complained: ${stderr}`)
  const { findings } = JSON.parse(stdout) as { findings: Diagnosis[] }
  const faults = findings
    .filter(({ level }) => level === 'fault')
    .map(({ check, found, advice }) => `${check}: ${found} -> ${advice}`)
  return { exitCode, faults, all: findings }
}

function execute(
  command: string,
  args: string[],
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { timeout: 60_000 }, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : error.code
      if (typeof exitCode === 'number') resolve({ exitCode, stdout, stderr })
      else reject(error)
    })
  })
}
