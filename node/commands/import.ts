/** `shoal import`: reads images from a folder or a tar file. */
import { parseRepository } from '../../src/oci/oci.ts'
import { contentClient } from '../admin/content-client.ts'
import { openReachableNode } from '../admin/reachable-node.ts'
import { type ImportedImage, importImages } from '../archives/importer.ts'
import { defineCommand, json } from '../command-line/command.ts'
import { formatBytes, print, printJson } from '../screen/output.ts'
import { text } from '../settings/kinds.ts'
import { UsageError } from '../settings/settings.ts'

export const command = defineCommand({
  usage: ['import FOLDER|FILE.tar [--as REPOSITORY] [--json]'],
  about: `
Reads images from an OCI image layout, as a folder or a tar file, or from an archive of docker save. Everything is
checked and stored before a tag is set; an import that broke off can be run again, and goes on where it was.

With signed records in the archive (shoal export puts them there) tags keep their author and time, and a newer tag or
deletion in this cluster stands. Without them, tags are published by this node.`,
  flags: {
    as: {
      kind: text,
      value: 'REPOSITORY',
      help: 'where the images belong, instead of the names in the archive',
    },
    json,
  },
  maxWords: 1,
  examples: [
    ['import /media/usb/images', 'what shoal export wrote'],
    ['import saved.tar --as team/app', 'what docker save wrote'],
  ],
  async run({ settings, words: [input], flags }) {
    if (input === undefined) throw new UsageError('import needs a folder or a tar file')
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

function describe({ stands, imported, digest }: ImportedImage): string {
  if (stands === 'imported') return imported
  if (stands === 'deleted') return `stays deleted: it was deleted after the archive's ${imported}`
  return `stays at ${digest}, which is newer than the archive's ${imported}`
}
