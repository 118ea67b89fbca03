/** What `shoal doctor` found, for people. */
import type { Diagnosis } from '../doctor/doctor.ts'
import { bold, dim, formatCount, green, printable, red, yellow } from './output.ts'

const signs = { fine: green('ok   '), note: yellow('note '), fault: red('FAULT') }
const nameWidth = 11

export function renderDiagnoses(
  diagnoses: Diagnosis[],
  { isAnothersNode }: { isAnothersNode: boolean },
): string {
  const lines = diagnoses.flatMap(({ check, level, found, advice }) => [
    `${signs[level]} ${bold(check.padEnd(nameWidth))}${printable(found)}`,
    ...(advice === undefined ? [] : [`${' '.repeat(6 + nameWidth)}${dim('->')} ${printable(advice)}`]),
  ])
  const faults = diagnoses.filter(({ level }) => level === 'fault').length
  const end = faults === 0 ? endWell(diagnoses, isAnothersNode) : red(`${formatCount(faults, 'fault')}.`)
  return `${[...lines, '', end].join('\n')}\n`
}

function endWell(diagnoses: Diagnosis[], isAnothersNode: boolean): string {
  if (isAnothersNode) return green('Nothing is wrong that this user can see.')
  // One that was stopped in order is no fault, and yet serves nobody.
  const isStopped = diagnoses.some(({ check, level }) => check === 'node' && level === 'note')
  return isStopped ? yellow('Nothing else is wrong, but no node runs.') : green('Nothing is wrong.')
}
