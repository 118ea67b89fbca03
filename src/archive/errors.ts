/** What can be wrong with an archive. */
import { CodedError } from '../base/base.ts'

/** It is damaged, hostile, or of no kind that is read here. The message says what was found, and where. */
export class ArchiveError extends CodedError {
  readonly code = 'ARCHIVE'
}
