import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { threadOf } from '../../../src/store/threads/worker-thread.ts'

const ingestPool = new URL('../../../src/store/ingest/ingest-pool.ts', import.meta.url).href

/** The niceness of each thread of this process (proc_pid_stat(5), field 19). */
async function nicenesses(): Promise<number[]> {
  const tasks = await readdir('/proc/self/task')
  const stats = await Promise.all(tasks.map((task) => readFile(`/proc/self/task/${task}/stat`, 'utf8')))
  return stats.map((stat) => Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]))
}

test.runIf(process.platform === 'linux')(
  'a thread that hashes gives way, and no other thread does',
  async () => {
    const before = await nicenesses()
    const worker = threadOf(ingestPool, 'ingest-worker')()
    try {
      const folder = await mkdtemp(join(tmpdir(), 'shoal-priority-'))
      const answered = new Promise((resolve) => worker.once('message', resolve))
      worker.postMessage({
        call: 0,
        request: { type: 'open', file: 1, path: join(folder, 'x'), algorithm: 'sha256' },
      })
      await answered
      await rm(folder, { recursive: true })
      const [mine] = before
      expect((await nicenesses()).filter((nice) => nice === (mine ?? 0) + 5)).toHaveLength(1)
    } finally {
      await worker.terminate()
    }
  },
)
