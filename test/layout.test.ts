/** The house's plan, held: which folder may import which, and where the named packages may be used. */
import { describe, expect, it } from 'vitest'
import { folderOf, imports, loadedWith } from './imports.ts'

/** By value, and as types only. */
const mayImport: Record<string, { values: string[]; types?: string[] }> = {
  'src/base': { values: [] },
  'src/oci': { values: ['src/base'] },
  'src/wire': { values: ['src/base', 'src/oci'] },
  'src/store': { values: ['src/oci', 'src/base'] },
  'src/records': { values: ['src/wire', 'src/oci', 'src/base'] },
  'src/exchange': { values: ['src/wire', 'src/oci', 'src/base'], types: ['src/store', 'src/swarm'] },
  'src/swarm': { values: ['src/wire', 'src/oci', 'src/base'], types: ['src/store', 'src/records'] },
  'src/upstream': { values: ['src/oci', 'src/base'] },
  'src/mirror': {
    values: ['src/upstream', 'src/wire', 'src/oci', 'src/base'],
    types: ['src/records', 'src/registry', 'src/exchange'],
  },
  'src/registry': {
    values: ['src/oci', 'src/base', 'src/store'],
    types: ['src/records', 'src/swarm', 'src/upstream'],
  },
  'src/archive': { values: ['src/oci', 'src/base'] },
  'src/placement': { values: ['src/records', 'src/oci', 'src/base'] },
  'src/access': { values: ['src/records', 'src/oci', 'src/base'] },
  'src/http': { values: ['src/oci', 'src/base'], types: ['src/registry', 'src/access'] },
}

describe('the layout', () => {
  it.each(Object.entries(mayImport))(
    '%s imports only what lies below it',
    (folder, { values, types = [] }) => {
      const broken = imports.filter(({ folder: from, target, typeOnly }) => {
        if (from !== folder || !/^(src|node)\//.test(target)) return false
        const to = folderOf(target)
        return to !== folder && !values.includes(to) && !(typeOnly && types.includes(to))
      })
      expect(broken).toEqual([])
    },
  )

  it('enters a folder through the file with its name', () => {
    const broken = imports.filter(({ folder, target }) => {
      const to = folderOf(target)
      return (
        target.startsWith('src/') &&
        to !== folder &&
        folder !== 'node' &&
        target !== `${to}/${to.slice(4)}.ts`
      )
    })
    expect(broken).toEqual([])
  })

  it.each([
    [/^koa$/, ['src/http', 'node']],
    [/^(level|abstract-level|classic-level)$/, ['src/store', 'src/records', 'node', 'src/swarm']],
    [/^(libp2p$|@libp2p\/|@chainsafe\/|@multiformats\/)/, ['src/swarm']],
    [/^prom-client$|^pino$/, ['node']],
    [/^undici$/, ['src/upstream']],
  ])('keeps %s where it belongs', (pattern, allowed) => {
    expect(imports.filter(({ folder, target }) => pattern.test(target) && !allowed.includes(folder))).toEqual(
      [],
    )
  })

  it('loads Node’s HTTP without its undici and HTTP/2, which an import of it would', () => {
    expect(imports.filter(({ target, typeOnly }) => /^(node:)?http2?$/.test(target) && !typeOnly)).toEqual([])
  })

  it.each([
    ['exchange', ['protocol', 'picker', 'peer', 'seeding', 'transfer'], ['errors']],
    ['swarm', ['cluster', 'streams', 'dht', 'members'], ['errors']],
    [
      'store',
      ['files', 'threads', 'database', 'ingest', 'blobs', 'links', 'partials', 'uploads', 'room', 'memory'],
      ['errors'],
    ],
  ])(
    'lets each room of the %s use those before it only, and the folder’s own files as types',
    (folder, rooms, shared) => {
      const top = `src/${folder}/`
      const roomOf = (path: string): number => rooms.indexOf(path.split('/')[2] ?? '')
      const broken = imports.filter(({ file, target, typeOnly }) => {
        if (!file.startsWith(top) || roomOf(file) < 0 || !target.startsWith(top)) return false
        // Types may point the other way where one file beside the rooms puts them together.
        if (typeOnly && (folder !== 'exchange' || roomOf(target) < 0)) return false
        if (shared.some((name) => target === `${top}${name}.ts`)) return false
        return roomOf(target) < 0 || roomOf(target) > roomOf(file)
      })
      expect(broken).toEqual([])
    },
  )

  it.each([
    // A node answers before it has loaded what talks to members.
    ['node/daemon.ts', /^(libp2p$|@libp2p\/|@chainsafe\/)/],
    // And takes the port before it has loaded what is behind it.
    [
      'node/commands/serve.ts',
      /^(libp2p$|@libp2p\/|koa$|pino$|prom-client$|undici$|level$)|^src\/(store|registry)\//,
    ],
    // A command asks the running node, which has it all.
    ['node/commands/ls.ts', /^(pino|undici|level)$|^src\/(?!base\/|upstream\/known-upstreams)/],
    ['node/commands/status.ts', /^(pino|undici|level)$|^src\/(?!base\/|upstream\/known-upstreams)/],
  ])('loads with %s nothing that is needed later or by others only', (file, unwanted) => {
    expect([...loadedWith(file)].filter(([target]) => unwanted.test(target)).map(([, way]) => way)).toEqual(
      [],
    )
  })

  it('lets nothing import the daemon', () => {
    expect(imports.filter(({ folder, target }) => folder !== 'node' && target.startsWith('node/'))).toEqual(
      [],
    )
  })
})
