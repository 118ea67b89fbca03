/** How this node is, as it tells the page of every member: what keeps it from serving as it should, and its disk. */
import type { Clock } from '../../src/base/base.ts'
import { diskUsage, type FileStore } from '../../src/store/store.ts'
import { Measured } from '../measured.ts'

export interface Condition {
  /** In words, as /readyz says them; of many, the first. */
  problems: string[]
  /** Absent where the data directory cannot be looked at, which is a problem then. */
  disk?: {
    free: number
    total: number
    /** Bytes that the data directory takes, and may take; absent without --max-disk. */
    filled?: number
    limit?: number
  }
}

export interface ConditionOptions {
  directory: string
  store: Pick<FileStore, 'room'>
  problems(): Promise<string[]>
  clock: Clock
}

export const maxProblems = 3
export const maxProblemLength = 240
/** Every member with a page that is watched asks every two seconds. */
const minAgeMs = 4_000

export function watchCondition(options: ConditionOptions): Measured<Condition> {
  const { directory, store, problems, clock } = options
  const measure = async (): Promise<Condition> => {
    const said = await problems()
    // What is wrong with it is among the problems.
    const disk = await diskUsage(directory).catch(() => undefined)
    const { limit } = store.room.status()
    return {
      problems: said.slice(0, maxProblems).map((problem) => problem.slice(0, maxProblemLength)),
      ...(disk === undefined
        ? {}
        : {
            disk: {
              free: disk.freeBytes,
              total: disk.sizeBytes,
              ...(limit === undefined ? {} : { filled: limit.filledBytes, limit: limit.maxBytes }),
            },
          }),
    }
  }
  return new Measured(measure, clock, { minAgeMs })
}
