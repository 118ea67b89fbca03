/** Whether the disk gave other bytes for the database than were stored, or the database takes nothing. */
import type { AuditReport } from '../../src/records/records.ts'
import type { CutTable } from '../../src/store/store.ts'
import { formatBytes, formatCount } from '../screen/output.ts'
import { type Check, fault, fine } from './check.ts'

export function describeDamage({ dropped, rows }: AuditReport): string {
  const mended = rows === 0 ? [] : [`${formatCount(rows, 'row')} derived anew`]
  const lost = dropped === 0 ? [] : [`${formatCount(dropped, 'record')} lost here, which members bring back`]
  return `the disk gave other bytes for tags and manifests than were stored: ${[...mended, ...lost].join(', ')}`
}

export function describeUnreadable(records: number): string {
  return `${formatCount(records, 'record')} in the ledger cannot be read by this version, and count as missing; one that reads them takes them up again, and what is pushed or written anew takes their place`
}

export function describeCut(tables: readonly CutTable[]): string {
  const bytes = tables.reduce((sum, table) => sum + table.bytes, 0)
  return `the disk changed ${formatCount(tables.length, 'file')} of the database: ${formatBytes(bytes)} were cut out, and the files as they were lie in quarantine`
}

export const database: Check = {
  name: 'database',
  async examine({ node }) {
    if (node === undefined) return []
    const problems = node.status.database
    if (problems.length === 0) return [fine('nothing in it has turned out to be wrong since the start')]
    return problems.map((problem) =>
      fault(
        problem,
        'where it is the disk or memory that fails, look at dmesg and smartctl; restart the node once that is mended, and the word of it goes',
      ),
    )
  },
}
