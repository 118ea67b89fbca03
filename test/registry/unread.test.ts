import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { digestBytes, parseRepository } from '../../src/oci/oci.ts'
import { openLedger } from '../../src/records/records.ts'
import { nowhere } from '../../src/registry/elsewhere.ts'
import { createRegistry } from '../../src/registry/registry.ts'
import { openDatabase, openStore } from '../../src/store/store.ts'
import { identityFromSeed } from '../../src/wire/wire.ts'

const repository = parseRepository('team/app')

it('takes a blob that the disk does not give for one that may be had again, and a push of it for what mends that', async () => {
  await using opened = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'shoal-registry-'))
  opened.defer(() => rm(directory, { recursive: true }))
  const database = opened.adopt(await openDatabase(directory), (each) => each.close())
  const identity = identityFromSeed(new Uint8Array(32).fill(1))
  const names = opened.use(await openLedger({ db: database, identity, authority: identity.publicKey }))
  const store = opened.use(await openStore({ directory, database, minFreeBytes: 0, workers: 1 }))
  const { pull, push } = opened.use(createRegistry({ store, names, elsewhere: nowhere }))
  const bytes = Buffer.from('a layer')
  const digest = digestBytes(bytes)
  const upload = async (): Promise<void> => {
    const started = await push.startUpload(repository)
    if (!('upload' in started)) throw new Error('nothing was to be mounted')
    await push.appendUpload(repository, started.upload.id, ReadableStream.from([bytes]))
    await push.finishUpload(repository, started.upload.id, digest)
  }
  await upload()
  expect(await store.setAside(digest)).toBeDefined()
  await expect(pull.openBlob(repository, digest)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  const stranger = parseRepository('team/other')
  await expect(pull.openBlob(stranger, digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' })
  await expect(pull.statBlob(repository, digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' })
  await upload()
  await using again = await pull.openBlob(repository, digest)
  expect(again.size).toBe(bytes.length)
})
