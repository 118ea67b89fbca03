/** The one refusal of what was typed or configured. */
import { CodedError } from '../../src/base/base.ts'

/** A setting, a flag or a command that was not understood. The message says which, what was given, and what would do. */
export class UsageError extends CodedError {
  readonly code = 'USAGE'
}
