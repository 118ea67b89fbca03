/** Operations on what a node stores. */
import type { VerifyProgress } from '../../src/store/store.ts'
import type { Operation } from './operations.ts'

/** Progress is for people: more often than they can read it, it only costs. */
const progressEveryMs = 100
/** Between two requests of a push, however short a grace is given: pushes go on meanwhile. */
const leastIdleMs = 60_000

export const collect: Operation<'gc'> = async (
  { node },
  { dryRun, graceMs, untaggedMs },
  emit,
  { signal },
) => {
  // Where no grace is given they go by themselves, once nobody has gone on with them for a day.
  const uploads =
    dryRun || graceMs === undefined ? 0 : await node.store.uploads.expire(Math.max(graceMs, leastIdleMs))
  const report = await node.collect({
    dryRun,
    signal,
    onProgress: seldom(emit),
    ...(graceMs === undefined ? {} : { graceMs }),
    ...(untaggedMs === undefined ? {} : { untaggedMs }),
  })
  return uploads === 0 ? report : { ...report, uploads }
}

export const verify: Operation<'verify'> = async ({ node }, _params, emit, { signal }) => {
  const { blobBytes: totalBytes } = await node.disk.measure()
  const onProgress = seldom((done: VerifyProgress) => emit({ ...done, totalBytes }))
  return await node.store.verify({ signal, onProgress })
}

function seldom<T>(emit: (progress: T) => void): (progress: T) => void {
  let emittedMs = Number.NEGATIVE_INFINITY
  return (progress) => {
    const nowMs = performance.now()
    if (nowMs - emittedMs < progressEveryMs) return
    emittedMs = nowMs
    emit(progress)
  }
}
