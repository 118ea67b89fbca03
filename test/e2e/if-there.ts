/** Files that a node may remove between two looks at them. */

/** Resolves to `undefined` where the file, or the process behind it in /proc, is gone. */
export async function ifThere<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    const isGone =
      error instanceof Error && 'code' in error && ['ENOENT', 'ESRCH'].includes(String(error.code))
    if (isGone) return undefined
    throw error
  }
}
