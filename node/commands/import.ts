/** `shoal import`: reads images from a folder or a tar file. */

import { parseRepository } from '../../src/oci/oci.ts'
import { type ImportedImage, importImages } from '../archives/importer.ts'
import type { Command } from '../cli.ts'
import { contentClient } from '../content-client.ts'
import { formatBytes, print, printJson } from '../output.ts'
import { openReachableNode } from '../reachable-node.ts'
import { readSettings, settingsHelp, UsageError } from '../settings.ts'

export const command: Command = {
  help: `shoal import FOLDER|FILE.tar [--as REPOSITORY] [--json]

Reads images from an OCI image layout, as a folder or a tar file, or from an archive of docker save. Everything is
checked and stored before a tag is set; an import that broke off can be run again, and goes on where it was.

With signed records in the archive (shoal export puts them there) tags keep their author and time, and a newer tag or
deletion in this cluster stands. Without them, tags are published by this node.

  --as REPOSITORY         where the images belong, instead of the names in the archive
  --json                  print the images as JSON
${settingsHelp(['data'])}
`,
  async run(args) {
    const flags = { as: { type: 'string' }, json: { type: 'boolean' } } as const
    const { settings, rest, extra } = readSettings(args, process.env, flags)
    const [input, surplus] = rest
    if (input === undefined) throw new UsageError('import needs a folder or a tar file')
    if (surplus !== undefined) throw new UsageError(`import takes one archive; "${surplus}" is one too many`)
    await using _node = await openReachableNode(settings)
    const images = await importImages({
      settings,
      content: contentClient(settings.data),
      input,
      as: extra.as === undefined ? undefined : parseRepository(extra.as),
      onBlob({ digest, size }, state) {
        if (state === 'here') process.stderr.write(`blob ${digest}  ${formatBytes(size)}  is here\n`)
      },
      signal: new AbortController().signal,
    })
    if (extra.json === true) printJson(images)
    else for (const image of images) print(`${image.name}  ${describe(image)}\n`)
    return 0
  },
}

function describe({ stands, imported, digest }: ImportedImage): string {
  if (stands === 'imported') return imported
  if (stands === 'deleted') return `stays deleted: it was deleted after the archive's ${imported}`
  return `stays at ${digest}, which is newer than the archive's ${imported}`
}
