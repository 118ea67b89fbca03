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

  it('loses nothing that it acknowledged under load, and takes pushes again by itself', {
    timeout: 60_000,
  }, async () => {
    await disk.free()
    const acknowledged: string[] = []
    let refused = 0
    const layerOf = (tag: string): string => `layer of ${tag}`.padEnd(200_000, '.')
    {
      await using api = await openApi({ directory: disk.path, store: { minFreeBytes: 4 * mib } })
      const pushAll = async (who: string, until: () => boolean): Promise<void> => {
        for (let n = 0; !until(); n++) {
          const tag = `${who}-${n}`
          try {
            await api.pushImage('team/load', tag, { layers: [layerOf(tag)] })
            acknowledged.push(tag)
          } catch (error) {
            if (!/507|503/.test(String(error))) throw error
            refused++
          }
        }
      }
      const load = ['a', 'b', 'c'].map((who) => pushAll(who, () => refused >= 12))
      while (acknowledged.length < 6) await new Promise(setImmediate)
      // Others take the rest of the disk, and of the reserve; the pushes may be quicker to the last of it.
      await disk.fill(mib).catch((error: NodeJS.ErrnoException) => expect(error.code).toBe('ENOSPC'))
      await Promise.all(load)
      await disk.free()
      const before = acknowledged.length
      await pushAll('after', () => acknowledged.length >= before + 3)
    }
    await using api = await open()
    expect(refused).toBeGreaterThanOrEqual(12)
    for (const tag of acknowledged) {
      const manifest = await api.call('GET', `/v2/team/load/manifests/${tag}`)
      expect(manifest.status, tag).toBe(200)
      const digest = (manifest.json() as { layers: { digest: string }[] }).layers[0]?.digest
      expect((await api.call('GET', `/v2/team/load/blobs/${digest}`)).body.toString()).toBe(layerOf(tag))
    }
  })
})
