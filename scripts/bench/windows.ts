/** Two sides measured in short windows in turn, so that what else the machine does falls on both. */
import { median } from './statistics.ts'

/** One after the other so many times, each as often first: A B, B A, … */
export async function alternate<T>(
  count: number,
  one: () => Promise<T>,
  other: () => Promise<T>,
): Promise<[T[], T[]]> {
  const [ofOne, ofOther]: [T[], T[]] = [[], []]
  for (let window = 0; window < count; window += 1) {
    if (window % 2 === 0) ofOne.push(await one())
    ofOther.push(await other())
    if (window % 2 === 1) ofOne.push(await one())
  }
  return [ofOne, ofOther]
}

/** What is in the middle of each field: a window in which the machine stood still is none. */
export function medians<K extends string>(windows: readonly Record<K, number>[], key: K): number {
  return median(windows.map((window) => window[key]))
}
