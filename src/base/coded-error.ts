/** The root of Shoal's errors: a stable `code` to test, facts as fields, and a cause. */
export abstract class CodedError extends Error {
  /** Stable and unique for each distinct reaction; compare this, never the message. */
  abstract readonly code: string

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = new.target.name
  }
}
