/** Which rows of a long list are worth drawing, and which parts of it have to be asked for. */

export interface RowWindow {
  /** Rows from `first` up to, not including, `end`. */
  first: number
  end: number
}

/** Rows beyond the edges, so that neither a quick scroll nor the Tab key comes to nothing. */
const overscan = 12

export function windowOf(
  total: number,
  { rowHeight, scrolled, height }: { rowHeight: number; scrolled: number; height: number },
): RowWindow {
  const first = Math.floor(scrolled / rowHeight) - overscan
  const end = Math.ceil((scrolled + height) / rowHeight) + overscan
  return { first: clamp(first, 0, total), end: clamp(end, 0, total) }
}

/** The parts of `length` rows each that hold rows of the window, by their index. */
export function partsOf({ first, end }: RowWindow, length: number): number[] {
  const parts: number[] = []
  for (let part = Math.floor(first / length); part * length < end; part++) parts.push(part)
  return parts
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value))
}
