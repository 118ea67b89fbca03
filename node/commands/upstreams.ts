/** `shoal upstreams`: the registries outside the cluster that this node mirrors. */
import type { UpstreamStatus } from '../../src/upstream/upstream.ts'
import { perform } from '../admin/perform.ts'
import { defineCommand, json } from '../command-line/command.ts'
import { formatBytes, formatTable, formatTime, print, printJson } from '../screen/output.ts'

export const command = defineCommand({
  usage: ['upstreams [--json]'],
  about: `
Lists the registries that the running node mirrors (see --upstream of shoal serve): whether each answers, what went
wrong last, until when it asked to be left alone, how many requests its rate limit leaves, and what was asked and got.
SHARED says whether what it gives is served to every client.`,
  flags: { json },
  maxWords: 0,
  examples: [['upstreams', 'do they answer?']],
  async run({ settings, flags }) {
    const upstreams = await perform(settings, 'upstreams', {})
    if (flags.json) printJson(upstreams)
    else if (upstreams.length === 0)
      print('No upstream is configured. Mirror one with: shoal serve --upstream docker.io\n')
    else print(formatTable([head, ...upstreams.map(cells)]))
    return 0
  },
})

const head = ['UPSTREAM', 'URL', 'STATE', 'LEFT', 'MANIFESTS', 'BLOBS', 'RECEIVED', 'SHARED', 'LAST ERROR']

function cells(status: UpstreamStatus): string[] {
  const { name, url, limit, remaining, manifestRequests, blobRequests, receivedBytes, isShared, lastError } =
    status
  return [
    name,
    url,
    stateOf(status),
    remaining === undefined ? '-' : `${remaining}${limit === undefined ? '' : ` of ${limit}`}`,
    String(manifestRequests),
    String(blobRequests),
    formatBytes(receivedBytes),
    isShared ? 'yes' : 'no',
    lastError ?? '-',
  ]
}

function stateOf({ reachable, pausedUntilMs, credentials }: UpstreamStatus): string {
  if (pausedUntilMs !== undefined) return `paused until ${formatTime(pausedUntilMs)} UTC`
  if (reachable === undefined) return 'not asked yet'
  if (!reachable) return 'away'
  return credentials?.refused === true ? 'refuses the credentials' : 'answers'
}
