/** Lets the event loop go on in the middle of long work. */
import { setImmediate as turn } from 'node:timers/promises'

const sliceMs = 5

/** Call the result often: it waits a turn of the event loop whenever `sliceMs` have passed. */
export function breather(): () => Promise<void> | undefined {
  let since = performance.now()
  return () => {
    if (performance.now() - since < sliceMs) return undefined
    return turn().then(() => {
      since = performance.now()
    })
  }
}
