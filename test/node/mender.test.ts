/** What a node makes anew after parts of its database were cut out. */
import { expect, it } from 'vitest'
import { openTables } from '../../src/store/database/database.ts'
import { openDatabase } from '../../src/store/store.ts'
import { type BlobName, blobDigest, manifestOf, openNode, work } from '../power-cut/work.ts'
import { temporaryFolder } from '../store/scenery.ts'

const layers: BlobName[] = ['small', 'middle']
const { digest: manifest } = manifestOf(layers)

it('collects nothing before what lost its links has them again', async () => {
  await using folder = await temporaryFolder()
  {
    await using node = await openNode(folder.path)
    for (const tasks of work.slice(0, 2)) for (const task of tasks) await task.run(node)
  }
  {
    await using database = await openDatabase(folder.path)
    const { links, references, children } = openTables(database)
    for (const table of [links, references, children]) await table.clear()
    // As after a kill in the middle of mending.
    await database.damage.cut()
  }
  await using node = await openNode(folder.path)
  const { store, names } = node.local
  expect(await node.local.collect({ graceMs: 0 })).toMatchObject({ blobs: 0, manifests: 0 })
  const [repository] = await names.listRepositories({ limit: 1 })
  if (repository === undefined) throw new Error('the repository is gone')
  for (const digest of [manifest, blobDigest('config'), ...layers.map(blobDigest)])
    expect(await store.links.has(repository, digest)).toBe(true)
  expect(await node.local.collect({ graceMs: 0 })).toMatchObject({ blobs: 0, manifests: 0 })
})
