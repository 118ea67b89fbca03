/** `shoal import`: reads images from a folder or a tar file, or from another registry. */
import { readFile } from 'node:fs/promises'
import { text as textOf } from 'node:stream/consumers'
import { type OtherRegistry, openDockerRegistry } from '../../src/archive/archive.ts'
import { parseRepository } from '../../src/oci/oci.ts'
import { openListedRegistry } from '../../src/upstream/upstream.ts'
import { contentClient } from '../admin/content-client.ts'
import { openReachableNode } from '../admin/reachable-node.ts'
import { type ImportedImage, importImages } from '../archives/importer.ts'
import { type FailedImage, importRegistry } from '../archives/registry-importer.ts'
import { remoteRegistry } from '../archives/remote-registry.ts'
import { defineCommand, json } from '../command-line/command.ts'
import { passwordOf } from '../command-line/password.ts'
import { formatBytes, formatCount, print, printJson } from '../screen/output.ts'
import { openProgress } from '../screen/progress.ts'
import { flag, path, text, url } from '../settings/kinds.ts'
import { type Settings, UsageError } from '../settings/settings.ts'

export const command = defineCommand({
  usage: [
    'import FOLDER|FILE.tar [--as REPOSITORY] [--json]',
    'import docker-registry FOLDER [--repositories PATTERN]... [--replace] [--json]',
    'import --from URL [--repositories PATTERN]... [--replace] [--user NAME --password-stdin] [--ca FILE] [--json]',
  ],
  about: `
Reads images from an OCI image layout, as a folder or a tar file, or from an archive of docker save. Everything is
checked and stored before a tag is set; an import that broke off can be run again, and goes on where it was.

With signed records in the archive (shoal export puts them there) tags keep their author and time, and a newer tag or
deletion in this cluster stands. Without them, tags are published by this node.

From another registry come all tags of all repositories with what refers to them: from the storage folder of a
docker-registry, which need not run, or from any registry that does. Each image is whole before its tag is set, a
broken one is named and keeps none of the others back, and run again it goes on where it was. Tags that stand for
something else here stay. A registry that does not list its repositories, or wants a token for that, has to be told
which. Exits with 1 when an image could not be had.`,
  flags: {
    as: {
      kind: text,
      value: 'REPOSITORY',
      help: 'where the images belong, instead of the names in the archive',
    },
    from: { kind: url, value: 'URL', help: 'a registry that runs, such as http://old:5000' },
    repositories: {
      kind: text,
      value: 'PATTERN',
      help: 'only these of it; * is any text without /, ** any text; may be given several times',
      repeatable: true,
    },
    replace: { kind: flag, help: 'tags that stand for something else here become what they are there' },
    user: { kind: text, value: 'NAME', help: 'who the other registry lets pull' },
    'password-stdin': { kind: flag, help: 'read the password of that user from standard input' },
    ca: { kind: path, value: 'FILE', help: 'trust this authority, in PEM, beside those of the system' },
    json,
  },
  maxWords: 2,
  examples: [
    ['import /media/usb/images', 'what shoal export wrote'],
    ['import saved.tar --as team/app', 'what docker save wrote'],
    ['import docker-registry /var/lib/docker-registry', 'all that a registry had stored'],
    ["import --from http://old:5000 --repositories 'team/*'", 'some of what one has that runs'],
  ],
  async run({ settings, words: [input, folder], flags }) {
    const isFolder = input === 'docker-registry' && folder !== undefined
    if (isFolder || flags.from !== undefined) {
      if (flags.as !== undefined)
        throw new UsageError('--as is for archives: repositories of a registry keep their names')
      if (isFolder === (flags.from !== undefined) || (flags.from !== undefined && input !== undefined))
        throw new UsageError('import takes an archive, docker-registry FOLDER, or --from URL, one at a time')
      await using _node = await openReachableNode(settings)
      const { signal } = new AbortController()
      await using source = isFolder ? await openDockerRegistry(folder) : await openFrom(flags, signal)
      return await importAll(settings, source, flags, signal)
    }
    if (input === 'docker-registry')
      throw new UsageError(
        'import docker-registry needs the folder where one keeps its storage, such as /var/lib/docker-registry',
      )
    if (input === undefined || folder !== undefined)
      throw new UsageError('import needs one folder or tar file, docker-registry FOLDER, or --from URL')
    const given = (['repositories', 'replace', 'user', 'ca', 'password-stdin'] as const).find(
      (name) => flags[name] !== undefined && flags[name] !== false && String(flags[name]) !== '',
    )
    if (given !== undefined) throw new UsageError(`--${given} is for docker-registry FOLDER and --from URL`)
    await using _node = await openReachableNode(settings)
    const images = await importImages({
      settings,
      content: contentClient(settings.data),
      input,
      as: flags.as === undefined ? undefined : parseRepository(flags.as),
      onBlob({ digest, size }, state) {
        if (state === 'here') process.stderr.write(`blob ${digest}  ${formatBytes(size)}  is here\n`)
      },
      signal: new AbortController().signal,
    })
    if (flags.json) printJson(images)
    else for (const image of images) print(`${image.name}  ${describe(image)}\n`)
    return 0
  },
})

interface RegistryFlags {
  from: URL | undefined
  repositories: string[]
  replace: boolean
  user: string | undefined
  'password-stdin': boolean
  ca: string | undefined
  json: boolean
}

async function openFrom(
  { from, repositories, user, 'password-stdin': isGiven, ca }: RegistryFlags,
  signal: AbortSignal,
): Promise<OtherRegistry> {
  if (from === undefined) throw new UsageError('--from needs the URL of a registry')
  if ((user !== undefined) !== isGiven)
    throw new UsageError(
      '--user and --password-stdin belong together: an argument would be seen by all on the host',
    )
  if (from.pathname !== '/')
    throw new UsageError(`--from: ${from} goes on after the host; name repositories with --repositories`)
  const credentials =
    user === undefined
      ? {}
      : { credentials: { username: user, password: passwordOf(await textOf(process.stdin)) } }
  const authority = ca === undefined ? {} : { certificateAuthority: await readFile(ca, 'utf8') }
  const name = from.host
  const registry = await openListedRegistry({ name, url: from, ...credentials, ...authority })
  const isNamed = repositories.length > 0 && repositories.every((pattern) => !pattern.includes('*'))
  return remoteRegistry(registry, { name, repositories: isNamed ? repositories : undefined, signal })
}

async function importAll(
  settings: Settings,
  source: OtherRegistry,
  flags: RegistryFlags,
  signal: AbortSignal,
): Promise<number> {
  const images: (ImportedImage | FailedImage)[] = []
  using progress = openProgress()
  const report = await importRegistry({
    settings,
    content: contentClient(settings.data),
    source,
    patterns: flags.repositories,
    replacesTags: flags.replace,
    onImage(image) {
      if (flags.json) images.push(image)
      else if ('failure' in image) process.stderr.write(`${image.name}  ${image.failure}\n`)
      else print(`${image.name}  ${describe(image)}\n`)
    },
    onProgress({ name, repository, repositories, bytes }) {
      const words = `${formatBytes(bytes)}  ${repository} of ${repositories} repositories  ${name}`
      progress.show(words, (repository - 1) / repositories)
    },
    signal,
  })
  if (report.repositories === 0)
    throw new UsageError(
      `${source.name} tells of no repository${flags.repositories.length > 0 ? ' that matches' : '; name them with --repositories'}`,
    )
  if (flags.json) printJson({ ...report, images })
  else
    print(
      `${formatCount(report.imported, 'image')} of ${formatCount(report.repositories, 'repository', 'repositories')} ${report.imported === 1 ? 'is' : 'are'} here, ${formatBytes(report.bytes)} came, ${report.failed} failed\n`,
    )
  return report.failed === 0 ? 0 : 1
}

function describe({ stands, imported, digest }: ImportedImage): string {
  if (stands === 'imported') return imported
  if (stands === 'deleted') return `stays deleted: it was deleted after the archive's ${imported}`
  return `stays at ${digest}, which is newer than the archive's ${imported}`
}
