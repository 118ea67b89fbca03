/** `shoal evict`: frees this host's copy of images. */
import { perform } from '../admin/perform.ts'
import { calledIn } from '../command-line/called.ts'
import { defineCommand, json } from '../command-line/command.ts'
import type { EvictedImage } from '../operations/evict.ts'
import { formatBytes, formatCount, print, printJson } from '../screen/output.ts'
import { flag } from '../settings/kinds.ts'
import { UsageError } from '../settings/settings.ts'

export const command = defineCommand({
  usage: ['evict IMAGE... [--force] [--json]'],
  about: `
Frees this host's copy of images: their blobs go from its disk, their tags and manifests stay, and the next pull brings
them again from another member or their upstream. Blobs that other images here need stay, and so does what is in use.
Says which members have the image. Refuses what no member says that it has all of and keeps, where no upstream can be
asked for it, and what a keep rule holds. Where this host is one of the owners of its copies it says so: it brings it back
within the hour. An IMAGE is REPOSITORY:TAG, REPOSITORY@DIGEST, or REPOSITORY for its tag latest.`,
  flags: {
    force: { kind: flag, help: 'also the last copy, which is lost then, and what a keep rule holds' },
    json,
  },
  maxWords: Number.POSITIVE_INFINITY,
  examples: [['evict team/app:1', 'another host has it']],
  async run({ settings, words: images, flags }) {
    if (images.length === 0) throw new UsageError('evict needs at least one image, such as team/app:1')
    const { images: evicted } = await perform(settings, 'evict', { images, force: flags.force })
    if (flags.json) printJson(evicted)
    else {
      const { inWords } = await calledIn(settings, evicted)
      for (const image of evicted) print(`${inWords(describeEvicted(image))}\n`)
    }
    return 0
  },
})

/** In words for people. */
export function describeEvicted({
  image,
  blobs,
  bytes,
  shared,
  inUse,
  holders,
  isMirrored,
  owed,
}: EvictedImage): string {
  const others = [...holders, ...(isMirrored ? ['its upstream'] : [])]
  const where = others.length === 0 ? 'nobody else has it' : `it is at ${inOneBreath(others)}`
  const stayed = [
    ...(inUse === 0 ? [] : [`${formatCount(inUse, 'blob')} in use stayed`]),
    ...(shared === 0 ? [] : [`${formatCount(shared, 'blob')} that other images here need stayed`]),
  ]
  const left = stayed.map((text) => `, ${text}`).join('')
  if (blobs === 0 && stayed.length > 0) return `${image}: nothing went${left}`
  const back =
    owed === undefined
      ? ''
      : `; it comes back within the hour, as this host is one of the ${owed.copies} that are to hold it by ${owed.rule}`
  return `evicted ${image}: ${formatCount(blobs, 'blob')}, ${formatBytes(bytes)}${left}; ${blobs === 0 ? 'nothing of it was here to go' : where}${back}`
}

/** Such as `host-b, host-c and its upstream`. */
function inOneBreath(texts: string[]): string {
  return [texts.slice(0, -1).join(', '), texts.at(-1)].filter((text) => text !== '').join(' and ')
}
