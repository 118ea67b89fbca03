/** What every answer of the page's API may be: an error, or a part of a list. */

/** Of every answer that is no 2xx. `code` is stable, `message` is for the reader. */
export interface ErrorAnswer {
  error: { code: string; message: string }
}

/** A part of a list that may be long: rows from `offset` on, of `total`. */
export interface Rows<T> {
  total: number
  /** The list is longer than what is looked at. */
  isCut?: true
  offset: number
  rows: T[]
}
