/** How loud a line about failed work is: what nobody has to look at, or its owner has said, is not said by each that meets it. */
import { ClosingError } from './closing-error.ts'
import { CodedError } from './coded-error.ts'
import type { Logger } from './logger.ts'

/** A state of this node, such as a full disk: who owns it says when it begins, and for whoever meets it, it is no news. */
export abstract class NodeStateError extends CodedError {}

/** As abstract-level says it: a database is closed when its node stops, and only then. */
const closedDatabase = 'LEVEL_DATABASE_NOT_OPEN'

/** Logs that work failed: at error, and at debug where a stopping node or its known state is why. */
export function logFailure(
  logger: Pick<Logger, 'debug' | 'error'>,
  error: unknown,
  message: string,
  facts: object = {},
): void {
  logger[isExpected(error) ? 'debug' : 'error']({ err: error, ...facts }, message)
}

/** Whether a node that stops, or a state that was said, is all there is to it. */
export function isExpected(error: unknown): boolean {
  return isKnownState(error) || isClosing(error)
}

/** Whether this node stops, and that is why. */
export function isClosing(error: unknown): boolean {
  return hasCause(
    error,
    (cause) => cause instanceof ClosingError || ('code' in cause && cause.code === closedDatabase),
  )
}

/** Whether a state of this node, said by who owns it, is why. */
export function isKnownState(error: unknown): error is Error {
  return hasCause(error, (cause) => cause instanceof NodeStateError)
}

function hasCause(error: unknown, isIt: (cause: Error) => boolean): error is Error {
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (isIt(cause)) return true
  return false
}
