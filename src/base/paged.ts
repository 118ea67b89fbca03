/** All names of a list that is read a page at a time, each page after the last name of the one before. */
const pageLength = 256

export async function* paged<T extends string>(
  list: (page: { after: string; limit: number }) => Promise<T[]>,
): AsyncGenerator<T> {
  for (let after = ''; ; ) {
    const page = await list({ after, limit: pageLength })
    yield* page
    if (page.length < pageLength) return
    after = page.at(-1) ?? ''
  }
}
