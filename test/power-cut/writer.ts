/** Does the work, or its first rows, on a data directory, and prints when it begins with each task, and when that was acknowledged. */
import { writeSync } from 'node:fs'
import { openNode, work } from './work.ts'

const [data, rows] = process.argv.slice(2)
if (data === undefined) throw new Error('expected a data directory')
await using node = await openNode(data)
writeSync(1, `identity ${node.local.membership.identity.peerId}\n`)
// What an earlier version wrote gets today's form.
await node.local.names.audit()
for (const [row, tasks] of work.slice(0, rows === undefined ? undefined : Number(rows)).entries()) {
  await Promise.all(
    tasks.map(async (task, column) => {
      writeSync(1, `begin ${row} ${column}\n`)
      await task.run(node)
      writeSync(1, `done ${row} ${column}\n`)
    }),
  )
}
