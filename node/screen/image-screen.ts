/** What an image consists of, as `shoal inspect` shows it. */
import type { CalledPeers } from '../command-line/called.ts'
import type { BlobDetails, ImageDetails, PlatformDetails } from '../operations/inspect.ts'
import {
  bold,
  dim,
  formatBytes,
  formatCount,
  formatTable,
  formatTime,
  printable,
  truncate,
  yellow,
} from './output.ts'

const maxCommandWidth = 72
const unknown = 'not known, as the config is not here'

export function renderImage(details: ImageDetails, { call }: Pick<CalledPeers, 'call'>): string {
  const { repository, digest, mediaType, tag, manifest, tags, totalBytes, platforms, omittedPlatforms } =
    details
  const name = tag === undefined ? `${repository}@${digest}` : `${repository}:${tag.name}`
  const facts: [string, string][] = [
    ['Image', bold(name)],
    ['Digest', digest],
    ['Type', mediaType],
    [
      'Size',
      `${formatBytes(totalBytes)} in all${omittedPlatforms === 0 ? '' : ', without the platforms not read'}`,
    ],
    ['Tags', tags.join(' ') || '-'],
  ]
  if (tag !== undefined) facts.push(['Tagged', `${formatTime(tag.writtenMs)} UTC by ${call(tag.author)}`])
  if (manifest !== undefined) {
    facts.push(['Pushed', `${formatTime(manifest.writtenMs)} UTC by ${call(manifest.author)}`])
    if (manifest.subject !== undefined) facts.push(['Refers to', manifest.subject])
    if (manifest.artifactType !== undefined) facts.push(['Artifact', manifest.artifactType])
  }
  if (details.holders !== undefined) facts.push(['Held by', holdersText(details.holders.map(call))])
  const parts = [formatTable(facts), ...platforms.map((platform) => renderPlatform(platform, details))]
  if (omittedPlatforms > 0) parts.push(`and ${formatCount(omittedPlatforms, 'platform')} more\n`)
  return [...parts, ...renderReferrers(details)].join('\n')
}

function renderPlatform(details: PlatformDetails, { kind }: ImageDetails): string {
  const { digest, size, content } = details
  const { platform = content?.config.isHere === false ? unknown : 'no platform' } = details
  const title = kind === 'index' ? `${bold(platform)}  ${digest}  ${formatBytes(size)}\n` : ''
  if (content === undefined) {
    return title === '' ? '' : `${title}${yellow('  neither here nor at a member that can be reached\n')}`
  }
  const { image, config, layers } = content
  const facts: [string, string][] = kind === 'index' ? [] : [['Platform', platform]]
  if (image === undefined) facts.push(['Config', `${config.mediaType}, ${formatBytes(config.size)}`])
  else {
    const add = (label: string, text: string): void => {
      if (text !== '') facts.push([label, printable(text)])
    }
    add('Created', image.created ?? '')
    add('Author', image.author ?? '')
    add('Entrypoint', quoted(image.entrypoint))
    add('Command', quoted(image.command))
    add('User', image.user ?? '')
    add('Folder', image.workingDir ?? '')
    add('Environment', image.environment.join(' '))
    add('Ports', image.ports.join(' '))
    add('Volumes', image.volumes.join(' '))
    for (const [label, text] of Object.entries(image.labels)) add('Label', `${label}=${text}`)
  }
  return `${title}${formatTable(facts)}${renderLayers(layers)}`
}

function renderLayers(layers: (BlobDetails & { createdBy?: string })[]): string {
  if (layers.length === 0) return ''
  const rows = layers.map(({ digest, size, isHere, holders, createdBy = '' }) => [
    `  ${digest}`,
    formatBytes(size),
    isHere ? 'here' : dim('not here'),
    ...(holders === undefined ? [] : [formatCount(holders.length, 'member')]),
    truncate(printable(createdBy), maxCommandWidth),
  ])
  return `${bold(`${formatCount(layers.length, 'layer')}`)}\n${formatTable(rows)}`
}

function renderReferrers({ referrers }: ImageDetails): string[] {
  if (referrers.length === 0) return []
  const rows = referrers.map(({ digest, artifactType, mediaType, size }) => [
    `  ${digest}`,
    formatBytes(size),
    artifactType ?? mediaType,
  ])
  return [`${bold('Referrers')}\n${formatTable(rows)}`]
}

function holdersText(holders: string[]): string {
  return holders.length === 0 ? 'no other member' : holders.join(', ')
}

/** As a shell would be given them, so that an argument with a space is seen as one. */
function quoted(words: string[]): string {
  return words.map((word) => (/^[\w./:=@%+,-]+$/.test(word) ? word : JSON.stringify(word))).join(' ')
}
