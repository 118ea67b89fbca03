/** What `npm pack` makes: it holds what runs and nothing else, installs without a script, and is a registry. */
import { readdir, rename } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openClient, pullManifest, pushItem } from './client.ts'
import { run } from './command.ts'
import { makeImage } from './image.ts'
import { installPackage, packPackage } from './npm-package.ts'
import { openRegistry } from './registry.ts'
import { requires } from './requirement.ts'
import { openScratchFolder, type ScratchFolder } from './scratch-folder.ts'

describe('the npm package', requires('shoal', 'npm'), () => {
  let folder: ScratchFolder
  let files: string[]

  beforeAll(async () => {
    folder = await openScratchFolder()
    const packed = await packPackage(folder.path)
    files = packed.files
    await installPackage(packed.tarball, folder.path)
  })
  afterAll(async () => await folder?.[Symbol.asyncDispose]())

  test('holds the program and its documents, and nothing of the workshop', () => {
    const odd = files.filter(
      (file) =>
        !/^dist\/node\/([\w.$-]+\.js|licenses\.md)$|^dist\/page\/(index\.html|licenses\.md|assets\/[\w.-]+)$|^docs\/[\w-]+\.(md|svg|png)$|^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/.test(
          file,
        ),
    )
    expect(odd).toEqual([])
    expect(files).toEqual(
      expect.arrayContaining([
        'dist/node/main.js',
        'dist/node/licenses.md',
        'dist/page/licenses.md',
        'README.md',
        'LICENSE',
        'CHANGELOG.md',
      ]),
    )
  })

  test('brings LevelDB beside its own files, and nothing that is in these', async () => {
    const modules = await readdir(folder.at('node_modules'))
    expect(modules).toContain('classic-level')
    expect(modules.filter((name) => /^(@|koa|level$|libp2p|pino|undici)/.test(name))).toEqual([])
  })

  test('names each thread by its code, so that a node that runs never starts that of a later version', () => {
    const threads = files.filter((file) => /worker\b.*\.js$/.test(file))
    expect(threads.map((file) => file.replace(/-[\w-]{8}\.js$/, ''))).toEqual(
      expect.arrayContaining(['dist/node/ingest-worker', 'dist/node/piece-worker']),
    )
  })

  test('runs by npx, and as a registry that is pushed to and pulled from', async () => {
    const help = await run('npx', ['--no-install', 'shoal', '--help'], { cwd: folder.path })
    expect(help.stdout).toContain('shoal serve')
    await using registry = await openRegistry({ program: folder.at('node_modules/.bin/shoal') })
    using client = openClient(registry.port)
    const image = makeImage({ seed: 'npm package' })
    await pushItem(client, 'team/app', '1', image)
    const { headers } = await pullManifest(client, 'team/app', '1')
    expect(headers['docker-content-digest']).toBe(image.manifest.descriptor.digest)
    const page = await client.ask('GET', '/', { headers: { host: `localhost:${registry.port}` } })
    expect([page.status, page.headers['content-type']]).toEqual([200, expect.stringContaining('text/html')])
    await registry.stop()
  })

  test('goes on taking and giving content when an upgrade took its files, and says that it is to be restarted', async () => {
    const program = folder.at('node_modules/shoal/dist')
    await using registry = await openRegistry({ program: folder.at('node_modules/.bin/shoal') })
    using client = openClient(registry.port)
    await rename(program, `${program}-of-before`)
    try {
      const image = makeImage({ seed: 'upgrade', layerBytes: [256 * 1024] })
      await pushItem(client, 'team/app', '1', image)
      const { headers } = await pullManifest(client, 'team/app', '1')
      expect(headers['docker-content-digest']).toBe(image.manifest.descriptor.digest)
      const ready = await client.ask('GET', '/readyz')
      expect(ready.body.toString()).toMatch(/^ready\n.*restart it to finish the upgrade/)
      await client.ask('GET', '/', { headers: { host: `localhost:${registry.port}` } })
      expect(registry.output()).toContain('PROGRAM_REPLACED')
    } finally {
      await rename(`${program}-of-before`, program)
    }
    await registry.stop()
  })

  test('says which Node it needs when that of the machine is too old', async () => {
    const preload = 'data:text/javascript,Object.defineProperty(process.versions,"node",{value:"22.11.0"})'
    const program = folder.at('node_modules/shoal/dist/node/main.js')
    await expect(run(process.execPath, ['--import', preload, program, '--help'])).rejects.toThrow(
      'this is Node 22.11.0, and Shoal needs 24 or newer',
    )
  })
})
