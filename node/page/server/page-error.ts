/** What the page's API refuses, with the status that goes with it. */
import { CodedError } from '../../../src/base/base.ts'

export class PageError extends CodedError {
  readonly code: string
  readonly status: number

  constructor(code: string, status: number, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
    this.status = status
  }
}
