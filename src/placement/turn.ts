/** Turns at bringing images: whoever gives slowly, on purpose or over a narrow line, is not to keep others from coming. */
import { type Clock, CodedError } from '../base/base.ts'

/** What came of it stays, and the next turn goes on from there. */
export class ImageSlowError extends CodedError {
  readonly code = 'IMAGE_SLOW'
}

export interface TurnOptions {
  /** Others wait for its end. */
  isAwaited(): boolean
  clock: Clock
  signal: AbortSignal
}

const turnMs = 600_000
/** And that soon where others wait. */
const shortTurnMs = 60_000

/** What `work` resolves to, or why its turn was over before. */
export async function inTurn<T>(
  name: string,
  work: (options: { signal: AbortSignal }) => Promise<T>,
  { isAwaited, clock, signal }: TurnOptions,
): Promise<T | ImageSlowError> {
  const cause = new ImageSlowError(`${name} did not come within its turn`)
  const over = new AbortController()
  const done = new AbortController()
  const untilMs = clock.now() + turnMs
  const watch = async (): Promise<void> => {
    do await clock.sleep(shortTurnMs, { signal: done.signal })
    while (clock.now() < untilMs && !isAwaited())
    over.abort(cause)
  }
  watch().catch((error: unknown) => {
    if (!done.signal.aborted) throw error
  })
  try {
    return await work({ signal: AbortSignal.any([signal, over.signal]) })
  } catch (error) {
    if (signal.aborted || !over.signal.aborted) throw error
    return cause
  } finally {
    done.abort(cause)
  }
}
