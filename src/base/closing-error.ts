/** What was under way when its owner stopped: nobody's fault. */
import { CodedError } from './coded-error.ts'

export class ClosingError extends CodedError {
  readonly code = 'CLOSING'
}
