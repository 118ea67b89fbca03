/** A registry whose disk was full for a moment, over HTTP: what it answers 201 afterwards is there after a restart. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { smallDisk } from '../store/small-disk.ts'
import { type Api, openApi } from './harness.ts'

const mib = 1024 * 1024
const disk = smallDisk(64)
afterAll(async () => {
  for (const name of await readdir(disk.path)) {
    await rm(join(disk.path, name), { recursive: true, force: true })
  }
  disk[Symbol.dispose]()
})

describe('on a disk that is full for a moment', {
  skip: !disk.isMounted,
  meta: { lacks: 'lacks the right to mount a tmpfs' },
}, () => {
  // Below no reserve, so that the database is what meets the full disk.
  const open = () => openApi({ directory: disk.path, store: { minFreeBytes: -64 * mib } })
  const remove = async (api: Api, tag: string): Promise<number> =>
    (await api.call('DELETE', `/v2/team/app/manifests/${tag}`)).status

  it('keeps every push that it acknowledges', { timeout: 60_000 }, async () => {
    const tags = Array.from({ length: 60 }, (_, n) => `after-${n}`)
    {
      await using api = await open()
      const old = Array.from({ length: 40 }, (_, n) => `before-${n}`)
      for (const tag of old) await api.pushImage('team/app', tag)
      await disk.fill()
      const answers = []
      for (const tag of old) answers.push(await remove(api, tag))
      expect(answers.at(-1)).toBe(507)
      expect((await api.call('GET', `/v2/team/app/manifests/${old.at(-1)}`)).status).toBe(200)
      await disk.free()
      // It is opened again by itself, as soon as it looks.
      while ([503, 507].includes(await remove(api, old.at(-1) ?? '')));
      for (const tag of tags) await api.pushImage('team/app', tag, { layers: [`layer of ${tag}`] })
    }
    await using api = await open()
    for (const tag of tags) {
      const manifest = await api.call('GET', `/v2/team/app/manifests/${tag}`)
      expect(manifest.status, tag).toBe(200)
      const layer = (manifest.json() as { layers: { digest: string }[] }).layers[0]?.digest
      expect((await api.call('GET', `/v2/team/app/blobs/${layer}`)).body.toString()).toBe(`layer of ${tag}`)
    }
  })
})
